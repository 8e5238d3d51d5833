#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/linux/shim_choice.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

// Parts of probe_host (probe.hpp).

/// Which file is the shim, with which rights it runs and why with no more.
struct ShimFindings {
    std::optional<ShimRights> rights;  ///< nothing: there is no shim
    std::string way_into_group;  ///< what root types where an installed one is for a group that this user is not in
    std::vector<runtime::Finding> findings;
};
ShimFindings shim_findings(const runtime::RuntimeChoice& choice);

/// AppArmor and SELinux, where the kernel has them.
std::vector<runtime::Finding> security_module_findings(const std::optional<ShimRights>& rights);

/// A user whom /etc/passwd does not have: lines of his name in /etc/subuid are nobody's to us.
std::vector<runtime::Finding> directory_user_findings();

/// Ranges of this user's that somebody else has as well.
std::vector<runtime::Finding> shared_range_findings();

/// Which controllers the cgroups of users have on version 2: a setuid shim takes what setup has enabled, where root and
/// a user of systemd's enable what a container needs.
std::vector<runtime::Finding> controller_findings(const std::optional<ShimRights>& rights);

}  // namespace locald::backends
