#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/mounts/cgroup_mount.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

/// One entry of `mounts`, ready to be made.
struct PreparedMount {
    const oci::Mount* mount = nullptr;
    std::size_t index = 0;  ///< in `mounts`, for error texts
    std::string target;     ///< the destination as a clean absolute path inside the root
    std::string source;     ///< of a bind: absolute on the host
    MountOptions options;
    /// Of a bind, once opened: the detached copy of the source. Of a tmpfs that is made read-only at last: itself.
    posix::UniqueFd tree;
    bool idmapped = false;
    posix::UniqueFd user_namespace;  ///< with an idmapped bind's own maps; empty: the container's are taken
};

/// `mount /source on /target`, for error texts.
std::string mount_text(const PreparedMount& prepared);

/// Checks all mounts and makes what only the host can: the user namespaces of idmapped binds with maps of their own.
/// @param warnings  what was understood in a way its writer may not expect
std::vector<PreparedMount> prepare_mounts(const oci::Spec& spec, const std::string& bundle,
                                          std::vector<std::string>& warnings);

/// True for the few files below /proc that may be covered.
bool is_allowed_below_proc(const std::string& target);

/// What the mounts are made with.
struct MountPlace {
    const posix::UniqueFd& root;
    /// Called before the first mount of type cgroup: the process must be in its cgroups and cgroup namespace by then.
    std::function<void()> before_cgroups;
    CgroupView cgroup_view = CgroupView::read_only;
    unsigned long bind_propagation = 0;  ///< of binds that name none; @see default_bind_propagation
    /// Called with a procfs that is not yet attached anywhere: the one moment when nothing can be mounted over it.
    std::function<void(const posix::UniqueFd&)> with_procfs;
};

/// Makes all mounts in their order.
void make_mounts(std::vector<PreparedMount>& mounts, const MountPlace& place);
/// Makes every tmpfs read-only that shall be: until then it takes the devices and the targets of other mounts.
void finish_mounts(std::vector<PreparedMount>& mounts);

}  // namespace locald::shim
