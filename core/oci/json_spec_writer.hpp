#pragma once

// Private to core/oci: the writer of config.json's Linux half.

#include "core/oci/json_writer.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::oci {

writer::Json write(const IdMapping& mapping);
writer::Json write(const Linux& in);

}  // namespace locald::oci
