#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

// Idmapped mounts: mount_setattr(2) with MOUNT_ATTR_IDMAP and a user namespace whose maps the mount takes over.

/// True when the mount's ids are to be mapped, by `idmap`, `ridmap` or mappings of its own.
bool is_idmapped(const oci::Mount& mount, const MountOptions& options) noexcept;

std::vector<posix::IdMapping> to_posix(const std::vector<oci::IdMapping>& maps);

/// The maps a mount brings along: uidMappings and gidMappings, or those of crun's `idmap=uids=…;gids=…`. Both are empty
/// when it takes those of the container's user namespace. @throws Error that starts with `place`
posix::IdMaps own_id_maps(const oci::Mount& mount, const MountOptions& options, const oci::Linux& config,
                          const std::string& place);

/// crun's text: triplets `file system id-host id-length`, joined by `#`; a leading `@` takes the host id as one of the
/// container's user namespace.
posix::IdMaps parse_idmap_option(const std::string& text, const oci::Linux& config);

/// Maps the ids of a detached mount, or of all in it. Errors name the file system and the Linux that can map it.
void map_mount_ids(const posix::UniqueFd& tree, bool recursive, const posix::UniqueFd& user_namespace,
                   const std::string& what);

/// What can be said about idmapped mounts of the file system with this magic number (statfs(2)):
/// `ext4 has them since Linux 5.12`.
std::string idmap_support(long magic);

}  // namespace locald::shim
