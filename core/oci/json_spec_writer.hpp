#pragma once

// Private to core/oci: the writer of config.json's Linux half.

#include "core/oci/json_writer.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::oci {

void write(writer::Text& text, const writer::Place& place, const IdMapping& mapping);
void write(writer::Text& text, const writer::Place& place, const Linux& in);

}  // namespace locald::oci
