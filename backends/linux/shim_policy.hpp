#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/linux/shim_choice.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

constexpr const char* shim_policy_file = "/etc/locald/shim.conf";

/// What holds for the users of a setuid shim, in one line. The shim itself reads the file: there is one parser of it.
/// @param shim  a shim of our own build that this process may execute
/// @throws Error with the shim's own words when no user could start anything
std::string shim_policy_in_words(const std::string& shim);

/// What the processes of one user may have together.
struct SharedLimits {
    std::uint64_t pids = 0;
    std::optional<std::uint64_t> memory_bytes;
};
/// @throws Error as shim_policy_in_words
SharedLimits shim_policy_limits(const std::string& shim);

/// Whether the chosen shim, when it is a setuid one, takes this user: it is asked for a user namespace.
std::vector<runtime::Finding> policy_findings(const ShimChoice& choice);

}  // namespace locald::backends
