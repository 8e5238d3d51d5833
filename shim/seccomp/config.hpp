#pragma once

#include <optional>
#include <string>

#include "core/oci/runtime_spec.hpp"
#include "shim/seccomp/seccomp.hpp"

namespace locald::shim {

// linux.seccomp together with the annotations that change it:
//   run.oci.seccomp_bpf_data              a program in base64, loaded instead of linux.seccomp
//   run.oci.seccomp.receiver              where the listener goes when there is no listenerPath
//   run.oci.seccomp_fail_unknown_syscall  unless `0`: a name that no system call has is an error
// A configuration that names neither linux.seccomp nor a program gets the default profile in setuid mode, and no filter
// otherwise. {"defaultAction": "SCMP_ACT_ALLOW"} and no more is no filter: so a caller says that he wants none.

/// True when the program of the annotation takes the place of linux.seccomp.
bool replaces_seccomp(const oci::Annotations& annotations);

/// True when the container gets a filter.
bool has_seccomp(const oci::Spec& spec);

/// All that can be said against it before anything is made. @throws Error(invalid) that names field or annotation
void check_seccomp(const oci::Spec& spec);

/// The container's filter; nothing where has_seccomp() says so. @see compile_seccomp
std::optional<SeccompFilter> container_seccomp(const oci::Spec& spec, const std::string& cache_dir);

}  // namespace locald::shim
