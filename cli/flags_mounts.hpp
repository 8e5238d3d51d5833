#pragma once

// `-v`, `--mount` and `--tmpfs` in docker's spelling. Pure: no I/O. Every error is Error(invalid) that names flag and
// value.

#include <string>
#include <string_view>
#include <vector>

#include "core/bundle/options.hpp"

namespace locald::cli {

/// `-v SOURCE:DESTINATION[:OPTION,…]`. A source that begins with a dot is relative to `cwd`; a plain name would be a
/// named volume and is refused.
/// @param cwd  absolute
bundle::MountOption parse_volume(std::string_view value, const std::string& cwd);

/// `--mount type=bind|tmpfs,source=…,target=…[,readonly][,…]`, one line of CSV.
bundle::MountOption parse_mount(std::string_view value, const std::string& cwd);

/// `--tmpfs DESTINATION[:OPTION,…]`.
bundle::MountOption parse_tmpfs(std::string_view value);

/// @throws Error(invalid) when two mounts have one destination
void check_destinations(const std::vector<bundle::MountOption>& mounts);

/// `path` without `.`, `..` and double slashes, by its text alone; relative ones start at `cwd`.
std::string clean_path(std::string_view path, const std::string& cwd);

}  // namespace locald::cli
