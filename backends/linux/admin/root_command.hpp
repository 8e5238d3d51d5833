#pragma once

#include <string>
#include <vector>

namespace locald::backends::admin {

/// The path of one of the system's programs by fixed places, never PATH; empty when it is not installed.
std::string find_root_program(const std::string& name);
/// Runs it without any of our environment. @throws Error with its own words when it fails
std::string run_root_program(const std::vector<std::string>& argv);
/// The same for what may fail. @return whether it ended with 0
bool try_root_program(const std::vector<std::string>& argv);

}  // namespace locald::backends::admin
