#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// One limit that the config asks for, as one write to one file.
struct CgroupLimit {
    std::string field;       ///< where in config.json: linux.resources.memory.limit
    std::string controller;  ///< memory, cpu, …; on v1 the hierarchy's name, on v2 the controller's; "" = the core
    std::string file, value;
    /// Written when `file` does not exist, for controllers with two generations of files.
    std::string other_file, other_value;
    bool skip_if_missing = false;  ///< the value is what a kernel without the file does anyway
    /// Two limits that must fit each other: EINVAL (or EBUSY) now means a second try after all others were written.
    bool again_if_refused = false;
    /// v1 controllers without a hierarchy of effects: the limit goes where the processes are.
    bool at_processes = false;
};

/// What `resources` asks for, in the files of cgroup v2 or v1, without the device rules. What one of the two has no
/// file for becomes a warning when it is a tuning, and a limit of the right controller otherwise (so that it fails with
/// its name).
/// @throws Error(invalid) for values that cannot be right
std::vector<CgroupLimit> v2_limits(const oci::Resources& resources, std::vector<std::string>& warnings);
std::vector<CgroupLimit> v1_limits(const oci::Resources& resources, std::vector<std::string>& warnings);

/// cpu.shares (2..262144) as cpu.weight (1..10000); logarithmic, 1024 becomes 100.
std::uint64_t weight_of_shares(std::uint64_t shares);
/// blockIO.weight (10..1000) as io.weight (1..10000).
std::uint64_t io_weight_of(std::uint16_t weight);
/// memory.swap (memory and swap together, 0 unset, -1 unlimited) as memory.swap.max; "" = leave it.
std::string swap_max_of(std::int64_t swap, std::int64_t limit);

}  // namespace locald::shim
