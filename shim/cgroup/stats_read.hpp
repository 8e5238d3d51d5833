#pragma once

#include "shim/cgroup/dir.hpp"
#include "shim/cgroup/stats.hpp"

namespace locald::shim {

/// Adds what one directory of cgroup v2 counts; what another hierarchy counted already is not overwritten by nothing.
void read_v2_stats(const CgroupDir& dir, CgroupStats& stats);
/// Adds what one directory of a v1 hierarchy counts.
void read_v1_stats(const CgroupDir& dir, const CgroupMount& mount, CgroupStats& stats);

/// A file that is one number; `max` is 2^64-1. 0 when it is missing.
std::uint64_t read_number(const CgroupDir& dir, const std::string& file);
/// A file of lines `key value`.
std::map<std::string, std::uint64_t> read_table(const CgroupDir& dir, const std::string& file);

}  // namespace locald::shim
