#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace locald::shim {

/// The `options` of one mount, sorted by what the kernel wants to hear where. Attributes are MOUNT_ATTR_ bits of
/// mount_setattr(2).
struct MountOptions {
    std::uint64_t set = 0, clear = 0;                      ///< on this mount
    std::uint64_t recursive_set = 0, recursive_clear = 0;  ///< on this mount and all below it
    unsigned long propagation = 0;                         ///< MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE
    bool propagation_recursive = false;
    bool bind = false, recursive_bind = false;
    bool remount = false;
    bool tmpcopyup = false;
    bool idmap = false, recursive_idmap = false;
    std::string idmap_text;        ///< crun's `idmap=uids=…;gids=…`, what follows the first `=`
    bool copy_symlink = false;     ///< crun: a source that is a link is made again instead of bound
    bool source_nofollow = false;  ///< crun: a source that is a link is bound itself
    bool dest_nofollow = false;    ///< crun: a destination that is a link is covered itself
    /// Flags of the superblock by their names, for file systems that are new: sync, dirsync, lazytime, …
    std::vector<std::string> super;
    /// What is left belongs to the file system: `key=value`, or a flag without value.
    std::vector<std::pair<std::string, std::optional<std::string>>> data;

    bool is_bind() const noexcept { return (bind || recursive_bind) && !remount; }
};

/// runtime-spec config.md, "Linux mount options". An unknown option is file system data.
MountOptions parse_mount_options(const std::vector<std::string>& options);

/// Every option name the table knows, for `features`.
std::vector<std::string> known_mount_options();

}  // namespace locald::shim
