#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace locald::shim {

/// The head of a table that ps printed, and those of its lines whose PID is one of `pids`.
/// @throws Error(invalid) `couldn't find PID field in ps output`
std::string rows_of(const std::string& table, const std::vector<pid_t>& pids);

}  // namespace locald::shim
