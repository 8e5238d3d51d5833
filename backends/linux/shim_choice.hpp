#pragma once

#include <string>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// With what a start of the shim does its work: as root; as an ordinary user for whom its setuid prologue did what only
/// root can; or with the user's own rights alone.
enum class ShimRights { root, setuid, rootless };
std::string_view to_string(ShimRights rights) noexcept;

/// One file that could be the shim.
struct ShimCandidate {
    std::string path;
    bool has_bit = false;             ///< root's, with the setuid bit
    std::vector<std::string> lost;    ///< why the bit is not in force for us: a mount, no_new_privs
    std::vector<std::string> unsafe;  ///< why nobody should trust it with the bit: others can exchange it
    bool executable = false;
    bool in_force() const { return has_bit && lost.empty() && executable; }
};
/// Looks at a file; nothing of it is run. @param path  exists
ShimCandidate look_at_shim(const std::string& path);

/// The one answer to "which shim": beside our own program, then where `admin setup` installs it; never PATH. An
/// ordinary user gets the installed one where its setuid bit is in force and it is the same build as the one beside.
struct ShimChoice {
    std::string program;  ///< the file that is started
    std::string
        plain;  ///< one that every user may execute, for inside of a container; the same where there is one only
    ShimRights rights = ShimRights::rootless;
    std::vector<ShimCandidate> candidates;  ///< all that were found, the chosen one among them
    std::string refused;      ///< why an installed one is not used: one line; empty: it is, or there is none
    bool is_warning = false;  ///< `refused` is something that root has to put right
};
/// @param cache_file  where the comparison of two files is kept, by their identities; empty: nothing is written
/// @throws Error(not_found) that lists the places looked at
ShimChoice choose_shim(const runtime::RuntimeChoice& choice, const std::string& cache_file);

}  // namespace locald::backends
