#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace locald::shim {

/// What the command line asks for.
enum class Verb { run, state, list, kill, remove, features, init, help, version, shim_version };

/// The command line as values. Members that a verb does not use keep their defaults.
struct Options {
    Verb verb = Verb::help;
    std::string root;      ///< --root; empty: the caller's default
    std::string bundle;    ///< as given
    std::string id;        ///< not yet checked
    int console_fd = -1;   ///< a connected unix socket that gets the pty master
    int report_fd = -1;    ///< where JSON lines go
    std::string pid_file;  ///< empty: none
    unsigned preserve_fds = 0;
    std::string signal = "TERM";       ///< of kill
    bool all = false;                  ///< kill --all: every process of the container
    bool force = false;                ///< delete --force
    bool quiet = false;                ///< list -q
    bool json = false;                 ///< list -f json
    std::vector<std::string> command;  ///< of init
    std::string help_topic;            ///< the verb whose help was asked for
};

/// A command line that cannot be meant. `exit_code` is 125 for `bundle run`, where 1 could be the container's own, 2
/// else.
class UsageError : public std::runtime_error {
public:
    UsageError(std::string message, int exit_code) : std::runtime_error(std::move(message)), exit_code_(exit_code) {}
    int exit_code() const noexcept { return exit_code_; }

private:
    int exit_code_;
};

/// @param arguments  argv without the program's name
/// @throws UsageError
Options parse_options(const std::vector<std::string>& arguments);

/// The text of `--help`; `topic` is a verb or empty.
std::string help_text(const std::string& topic);

}  // namespace locald::shim
