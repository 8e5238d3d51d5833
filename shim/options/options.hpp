#pragma once

#include <string>

#include "shim/options/command_line.hpp"

namespace locald::shim {

/// What becomes of the container once it is made.
enum class Fate {
    foreground,  ///< this process sees it through to its end and removes it
    detached,    ///< started, then left to itself
    created,     ///< made up to its program, which waits for `start`
};

/// The command line of the verbs that make a container.
struct Options {
    std::string root;                    ///< --root; empty: the caller's default
    std::string id;                      ///< not yet checked
    std::string bundle = ".";            ///< as given
    std::string config = "config.json";  ///< the file in the bundle, or a path
    Fate fate = Fate::foreground;
    int console_fd = -1;         ///< a connected unix socket that gets the pty master
    bool own_terminal = false;   ///< without either, our own terminal is joined with the container's
    std::string console_socket;  ///< the path of one that listens; empty: none
    std::string pidfd_socket;    ///< the path of a listening socket that gets the first process's pidfd
    int report_fd = -1;          ///< where JSON lines go
    std::string pid_file;        ///< empty: none
    unsigned preserve_fds = 0;
    unsigned listen_fds = 0;  ///< not an option: the environment has it
    std::string notify_host;  ///< NOTIFY_SOCKET of the caller; empty: none
    bool keep = false;        ///< a foreground container's state stays
    bool no_pivot = false;
    bool no_new_keyring = false;
    bool systemd_cgroup = false;
    bool cgroups_disabled = false;
};

/// `bundle run …` and `bundle PATH`.
Options parse_bundle(const Globals& globals, Walker& walker);
/// `run` and `create` as other runtimes have them; -d is refused for `create`.
Options parse_make(const Globals& globals, Walker& walker, bool create);

}  // namespace locald::shim
