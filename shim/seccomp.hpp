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
/// @param cache_dir  where compiled filters are kept by the hash of their profile; empty: no cache. Only a directory of
/// the
///                   caller's own with mode 0700 is used
SeccompFilter compile_seccomp(const oci::Seccomp& profile, const std::string& cache_dir);

/// Loads it into this thread. Returns the listener descriptor when `notify`, else an empty handle.
posix::UniqueFd load_seccomp(const SeccompFilter& filter);

}  // namespace locald::shim
