#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/oci/runtime_spec.hpp"
#include "shim/options/command_line.hpp"

namespace locald::shim {

/// The command line of `update`.
struct UpdateOptions {
    std::string id;
    std::string resources_file;  ///< -r: a file, or - for standard input; then the other options count for nothing
    oci::Resources resources;    ///< what the other options say
    std::string l3_cache_schema, mem_bw_schema;
    std::vector<std::string> warnings;
};

UpdateOptions parse_update(Walker& walker);

/// `512m`, `1.5GiB`, `1024`: bytes, in powers of 1024. Nothing for anything else.
std::optional<std::int64_t> parse_size(const std::string& text);

}  // namespace locald::shim
