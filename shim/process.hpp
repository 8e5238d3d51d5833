#pragma once

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// What is set on the process itself, in the order its names are listed in init. Each throws Error that names field,
// value and remedy.

/// process.rlimits; a duplicate type is an error. Raising a hard limit needs CAP_SYS_RESOURCE in the first user
/// namespace.
void set_rlimits(const std::vector<oci::Rlimit>& limits);
void set_oom_score_adj(int value);
void set_scheduler(const oci::Scheduler& scheduler);
void set_io_priority(const oci::IoPriority& priority);
void set_personality(const oci::Personality& personality);
void set_memory_policy(const oci::MemoryPolicy& policy);
/// linux.sysctl, checked against the namespaces the container has of its own and written through `proc`, a verified
/// procfs.
void check_sysctls(const oci::Spec& spec);
void write_sysctls(const oci::Linux& config, const posix::UniqueFd& proc);
/// uid, gid, additional gids, umask. setgroups that the single-id map denies is an error only when groups were asked
/// for.
void set_user(const oci::User& user);
/// no_new_privs.
void set_no_new_privileges();
/// A session keyring of its own, so that the container cannot read the caller's. ENOSYS and EDQUOT are passed over.
void new_session_keyring(const std::string& name);

/// Finds args[0] in the container's own PATH (of `env`) and executes it with HOME filled in when missing. Comes back
/// only as an Error: command_not_found with `exec: "<name>": executable file not found in $PATH`, or not_executable
/// with the kernel's words.
[[noreturn]] void execute(const oci::Process& process);

}  // namespace locald::shim
