#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// A filter ready to load: classic BPF instructions as the kernel takes them.
struct SeccompFilter {
    std::vector<std::uint64_t> program;  ///< struct sock_filter each
    unsigned flags = 0;                  ///< SECCOMP_FILTER_FLAG_…
    bool notify = false;                 ///< some rule answers by the listener
};

/// Compiles linux.seccomp (libseccomp). Unknown system call names are passed over; calls newer than the profile give
/// ENOSYS.
/// @param cache_dir  where compiled filters are kept by the hash of their profile; empty: no cache. Made when missing;
///                   only a directory of the caller's own with mode 0700 is used
/// @throws Error(invalid) that names the field: an unknown action, operator, architecture or flag, a rule that
///         libseccomp refuses
SeccompFilter compile_seccomp(const oci::Seccomp& profile, const std::string& cache_dir);

/// What can be said against the profile without compiling it: names, notify on `write` or as the default action,
/// listenerMetadata without listenerPath.
void check_seccomp(const oci::Seccomp& profile);

/// Loads it into this thread; needs no_new_privs or CAP_SYS_ADMIN in the user namespace. Returns the listener
/// descriptor when `notify`, else an empty handle.
posix::UniqueFd load_seccomp(const SeccompFilter& filter);

// For `features`.
std::vector<std::string> seccomp_actions();
std::vector<std::string> seccomp_operators();
std::vector<std::string> seccomp_architectures();
std::vector<std::string> seccomp_flags();

}  // namespace locald::shim
