#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "shim/options/command_line.hpp"

namespace locald::shim {

/// The command line of `exec`.
struct ExecOptions {
    std::string root;  ///< --root
    std::string id;
    std::vector<std::string> args;
    std::string process_file;  ///< --process; empty: the container's own process with what follows changed
    bool detach = false;
    bool terminal = false;
    std::string cwd;
    std::vector<std::string> env;
    std::string user;  ///< uid[:gid]
    std::vector<std::uint32_t> additional_gids;
    std::vector<std::string> capabilities;
    bool no_new_privileges = false;
    std::string apparmor, process_label;
    std::string cgroup;  ///< a sub-cgroup; empty: the container's own
    bool ignore_paused = false;
    std::string pid_file, console_socket, pidfd_socket;
    int console_fd = -1, report_fd = -1;
    unsigned preserve_fds = 0;
    unsigned listen_fds = 0;  ///< not an option: the environment has it
};

/// @throws UsageError
ExecOptions parse_exec(const Globals& globals, Walker& walker);

/// The process to run: that of --process, or the container's own with the options applied.
/// @param own  the container's process, if it has one
/// @throws Error that names option or field
oci::Process exec_process(const ExecOptions& options, const std::optional<oci::Process>& own);

/// `uid` or `uid:gid`, decimal and nothing else: what is not understood must never become root (CVE-2026-30892). A gid
/// that is not given stays.
void parse_exec_user(const std::string& text, oci::User& user);

}  // namespace locald::shim
