#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// What is set on the process itself, in the order its names are listed in init. Each throws Error that names field,
// value and remedy.

/// process.rlimits; a duplicate type is an error. Raising a hard limit needs CAP_SYS_RESOURCE in the first user
/// namespace.
void set_rlimits(const std::vector<oci::Rlimit>& limits);
/// What can be said against the rlimits before anything is made: unknown names, duplicates, soft above hard.
void check_rlimits(const std::vector<oci::Rlimit>& limits);
/// The number of an RLIMIT_ name; -1 when unknown.
int rlimit_number(const std::string& name);
/// -1000..1000, written to /proc/thread-self/oom_score_adj: call it while /proc is still the host's.
void set_oom_score_adj(int value);
/// Binds this thread to a cpu list; an empty one changes nothing. `field` stands in the error.
void set_cpu_affinity(const std::string& list, const char* field);
void set_scheduler(const oci::Scheduler& scheduler);
/// What can be said against process.scheduler without asking the kernel.
void check_scheduler(const oci::Scheduler& scheduler);
void set_io_priority(const oci::IoPriority& priority);
void check_io_priority(const oci::IoPriority& priority);
void set_personality(const oci::Personality& personality);
void check_personality(const oci::Personality& personality);
void set_memory_policy(const oci::MemoryPolicy& policy);
void check_memory_policy(const oci::MemoryPolicy& policy);
/// The names that linux.memoryPolicy knows, for `features`.
std::vector<std::string> memory_policy_modes();
std::vector<std::string> memory_policy_flags();
/// The numbers of a list such as `0-3,7`, each below `most` and each once; empty when the text is anything else.
std::vector<unsigned> parse_id_list(std::string_view text, unsigned most);
/// linux.sysctl, checked against the namespaces the container has of its own and written through `proc`, a verified
/// procfs.
void check_sysctls(const oci::Spec& spec);
void write_sysctls(const oci::Linux& config, const posix::UniqueFd& proc);
/// A key in its dotted form: when its first separator is a slash, dots and slashes change roles (sysctl.d(5)).
std::string sysctl_name(const std::string& key);
/// umask (0022 when absent), additional gids, gid, uid, read back afterwards. setgroups that the single-id map denies
/// is an error only when groups were asked for.
/// @param keep_groups  the caller's own supplementary groups stay (run.oci.keep_original_groups)
void set_user(const oci::User& user, bool keep_groups = false);
/// no_new_privs.
void set_no_new_privileges();
/// A session keyring of its own, so that the container cannot read the caller's. ENOSYS and EDQUOT are passed over.
void new_session_keyring(const std::string& name);

/// All that execve takes. Not copied: the pointers are those of its own texts.
struct Execution {
    Execution() = default;
    Execution(Execution&&) = default;
    Execution& operator=(Execution&&) = default;
    std::string path;
    std::vector<std::string> args, env;
    std::vector<char*> argv, envp;
};

/// Finds args[0] in the container's own PATH (of `env`) and fills in HOME when it is missing: what looks at files comes
/// before the seccomp filter, which may forbid it.
/// @throws Error(command_not_found) `exec: "<name>": executable file not found in $PATH`
Execution prepare_execution(const oci::Process& process);

/// One execve. Comes back only as an Error: command_not_found, or not_executable with the kernel's words.
[[noreturn]] void execute(const Execution& execution);

/// The path that would be executed: args[0] itself when it has a slash, else found in PATH of `env`.
/// @throws Error(command_not_found)
std::string find_program(const std::string& name, const std::vector<std::string>& env);
/// Fails as the execution would when the program is missing or nobody may execute it: engines want that from `create`,
/// which they ask before they tell anybody that the container is there.
void require_program(const oci::Process& process);
/// process.env with the last of several equal names kept, and HOME filled in from /etc/passwd when missing.
std::vector<std::string> complete_environment(const oci::Process& process);
/// The home directory of `uid` in the text of a passwd file; `/` when it has none.
std::string home_in_passwd(std::string_view passwd, std::uint32_t uid);

}  // namespace locald::shim
