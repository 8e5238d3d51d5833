#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/posix/subids.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::posix {

/// One line of /proc/<pid>/uid_map. Ids are uint32; `size` counts ids, at least 1.
/// runtime-spec config-linux.md, "User namespace mappings".
struct IdMapping {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;
    auto operator<=>(const IdMapping&) const = default;
};

/// The maps of one user namespace. `full` is false when only the caller's own id is mapped, because there is no grant
/// in /etc/subuid and /etc/subgid or no newuidmap that could write it: every other owner is then lost and setgroups is
/// denied.
struct IdMaps {
    std::vector<IdMapping> uids;
    std::vector<IdMapping> gids;
    bool full = false;
    std::string why_not_full;  ///< one sentence when `full` is false
    std::string remedy;        ///< for that: a command, or a sentence

    /// A short name for the maps, the same for equal maps: part of a directory name, [0-9a-f]{16}.
    std::string fingerprint() const;
};

/// Who writes a map of more than the caller's own id: newuidmap and newgidmap, which must be installed then, or a
/// setuid locald-shim.
enum class MapWriter { helpers, setuid_shim };

/// The maps an ordinary caller gets: his own id becomes 0, his grants of /etc/subuid and /etc/subgid follow from 1 in
/// file order. With `keep_id` his own ids stay the same inside (RFC 0052) and the grants fill the ids around them.
IdMaps caller_id_maps(bool keep_id = false, MapWriter writer = MapWriter::helpers);

/// The two maps built from own id and grants, as caller_id_maps does it for the real files.
std::vector<IdMapping> build_map(std::uint32_t own_id, const std::vector<IdRange>& grants, bool keep_id);

/// The text of uid_map or gid_map: one `inside outside count` line a mapping.
std::string map_text(const std::vector<IdMapping>& maps);

/// Writes both maps of the process `pid`, which waits in a new user namespace that this process's user owns: by itself
/// where the caller may (one own id, or root), else by newuidmap and newgidmap. Without a full map setgroups is denied
/// first.
/// @see user_namespaces(7)
void write_id_maps(pid_t pid, const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids);

/// A new user namespace with these maps, held by nothing but the returned descriptor. Safe in a process with threads.
UniqueFd make_user_namespace(const IdMaps& maps);

/// The path of newuidmap or newgidmap on this host; empty when it is not installed. Fixed places, never PATH.
std::string find_id_map_helper(const char* name);

}  // namespace locald::posix
