#pragma once

// Private to core/oci: the readers that config.json's two halves share.

#include "core/oci/json_reader.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::oci::reader {

void read(Json& value, const Place& place, IdMapping& out);
void read(Json& value, const Place& place, Process& out);
void read(Json& value, const Place& place, Resources& out);
void read(Json& value, const Place& place, Seccomp& out);
void read(Json& value, const Place& place, Linux& out);

/// Refuses a path that does not start at the root.
inline void need_absolute(const std::string& path, const Object& object, std::string_view name) {
    if (!path.starts_with('/')) fail(Place(object.place(), name), "must be an absolute path");
}

}  // namespace locald::oci::reader
