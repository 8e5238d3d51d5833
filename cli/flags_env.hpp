#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace locald::cli {

using EnvList = std::vector<std::pair<std::string, std::string>>;
/// What a variable holds in the caller's environment; nothing when it is not set.
using EnvLookup = std::function<std::optional<std::string>(const std::string& name)>;

/// `-e NAME=VALUE` or `-e NAME`, which takes the caller's value and is left out when there is none. @throws
/// Error(invalid)
void parse_env_flag(std::string_view value, const EnvLookup& lookup, EnvList& env);

/// An `--env-file`, line by line after docker's rules: blanks in front are dropped, `#` begins a comment only there,
/// a name alone takes the caller's value, the rest of a line is the value as it is: no quotes, no expansion.
/// @param path  for error texts only
/// @throws Error(invalid) that names file and line
void parse_env_file(std::string_view text, std::string_view path, const EnvLookup& lookup, EnvList& env);

}  // namespace locald::cli
