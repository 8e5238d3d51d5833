#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace locald::shim {

/// A command line that cannot be meant. The exit code is 125 for `bundle`, where 1 could be the container's own.
class UsageError : public std::runtime_error {
public:
    explicit UsageError(const std::string& message, int exit_code = 2)
        : std::runtime_error(message), exit_code_(exit_code) {}
    int exit_code() const noexcept { return exit_code_; }

private:
    int exit_code_;
};

/// Thrown by Walker at -h or --help.
struct HelpWanted {};

/// What stands before the verb and concerns every verb.
struct Globals {
    std::string root;  ///< --root; empty: the caller's default
    std::string log;   ///< --log; empty: errors go to standard error alone
    bool log_json = false;
    bool debug = false;
    bool systemd_cgroup = false;    ///< --systemd-cgroup, or --cgroup-manager systemd
    bool cgroups_disabled = false;  ///< --cgroup-manager disabled
    std::string rootless = "auto";  ///< auto, true or false
    std::string criu;               ///< --criu; empty: found in fixed places
};

/// Walks the words after the verb: options as `--name VALUE`, `--name=VALUE`, `-n VALUE`; everything after `--` is an
/// argument.
class Walker {
public:
    Walker(const std::vector<std::string>& words, std::size_t at, std::string verb, int exit_code = 2)
        : words_(words), at_(at), verb_(std::move(verb)), exit_code_(exit_code) {}

    /// For verbs whose arguments end in a command: the first argument ends the options.
    void stop_at_argument() noexcept { stops_ = true; }

    /// The next option into `name`; arguments before it are collected. False at the end.
    bool next_option(std::string& name);
    /// The value of the option that next_option() gave.
    std::string value();
    /// A value of 0 to `most`.
    unsigned number(unsigned most);
    /// The value of an option that needs none: true, unless it was given as `--name=false`.
    bool flag();
    [[noreturn]] void unknown() const;
    [[noreturn]] void refuse(const std::string& text) const;

    /// The arguments, once next_option() gave false.
    const std::vector<std::string>& arguments() const noexcept { return arguments_; }
    /// Throws with runc's words unless there are this many arguments.
    void need_exactly(std::size_t count) const;
    void need_at_least(std::size_t count) const;
    void need_at_most(std::size_t count) const;

private:
    void check_inline_value_used() const;

    const std::vector<std::string>& words_;
    std::size_t at_;
    std::string verb_;
    int exit_code_;
    bool stops_ = false, literal_ = false;
    std::string last_;
    std::optional<std::string> inline_value_;
    std::vector<std::string> arguments_;
};

}  // namespace locald::shim
