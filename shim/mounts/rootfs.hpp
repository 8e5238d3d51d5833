#pragma once

#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Cuts the new mount namespace off from the host's before the first mount: private, or slave where the configuration
/// wants to see what the host mounts later. Where binds are to stay peers of their sources nothing is cut off yet:
/// mount_root() does it for the root filesystem's place and pivot_into() for the rest.
void isolate_mounts(const oci::Spec& spec);

/// The propagation of a bind that names none, MS_PRIVATE or MS_SLAVE; 0 when isolate_mounts() has left it right.
unsigned long default_bind_propagation(const oci::Spec& spec);

/// Puts the root filesystem on `<bundle>/<root.path>`: an overlay when the first mount of the configuration has the
/// destination "/", else the directory itself. @return the root of the new mount, to which all that follows is relative
posix::UniqueFd mount_root(const oci::Spec& spec, const std::string& bundle);
/// True when mounts[0] is the root filesystem itself.
bool has_root_mount(const oci::Spec& spec) noexcept;

/// Makes `root` the root and working directory of this process; the old root is detached from it for good.
void pivot_into(const posix::UniqueFd& root, const oci::Spec& spec);

/// The same where pivot_root(2) is impossible, on a ramdisk: `root` is moved over the old root, of which no whole proc
/// or sysfs is left, and chroot(2) goes there.
void move_into(const posix::UniqueFd& root);

/// The root of a container that has no mount namespace of its own: nothing is mounted, chroot(2) enters it.
posix::UniqueFd open_root_directory(const oci::Spec& spec, const std::string& bundle);
void chroot_into(const posix::UniqueFd& root);

/// linux.rootfsPropagation on the new root; empty leaves it.
void set_root_propagation(const std::string& name);

/// Enters process.cwd. Refused when it does not lie inside the root: a descriptor that leaked could lead outside
/// (CVE-2024-21626).
void enter_working_directory(const std::string& cwd);

/// The absolute path of root.path.
std::string root_path(const oci::Spec& spec, const std::string& bundle);

}  // namespace locald::shim
