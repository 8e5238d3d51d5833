#include "shim/options/options.hpp"

#include <unistd.h>

namespace locald::shim {

namespace {

constexpr unsigned most_fd = 1U << 20U;
constexpr unsigned most_preserved = 1U << 16U;

Options with_globals(const Globals& globals) {
    Options options;
    options.root = globals.root;
    options.systemd_cgroup = globals.systemd_cgroup;
    options.cgroups_disabled = globals.cgroups_disabled;
    return options;
}

/// What `bundle run`, `run` and `create` have in common. @return false for any other option
bool take_common(Options& options, Walker& walker, const std::string& name) {
    if (name == "-b" || name == "--bundle") {
        options.bundle = walker.value();
    } else if (name == "-f" || name == "--config") {
        options.config = walker.value();
    } else if (name == "--pid-file") {
        options.pid_file = walker.value();
    } else if (name == "--preserve-fds") {
        options.preserve_fds = walker.number(most_preserved);
    } else if (name == "--no-pivot") {
        options.no_pivot = walker.flag();
    } else if (name == "--no-new-keyring") {
        options.no_new_keyring = walker.flag();
    } else if (name == "--keep-id") {
        walker.flag();  // read by the setuid prologue; elsewhere the configuration's id maps say it
    } else {
        return false;
    }
    return true;
}

}  // namespace

Options parse_bundle(const Globals& globals, Walker& walker) {
    Options options = with_globals(globals);
    options.bundle.clear();
    bool any_option = false;
    for (std::string name; walker.next_option(name);) {
        any_option = true;
        if (take_common(options, walker, name)) continue;
        if (name == "--id") {
            options.id = walker.value();
        } else if (name == "--console-fd") {
            options.console_fd = static_cast<int>(walker.number(most_fd));
        } else if (name == "--report-fd") {
            options.report_fd = static_cast<int>(walker.number(most_fd));
        } else {
            walker.unknown();
        }
    }
    const auto& arguments = walker.arguments();
    if (arguments.size() == 1 && arguments[0] == "run") {
        if (options.bundle.empty()) walker.refuse("bundle run: --bundle PATH is missing");
        if (options.id.empty()) walker.refuse("bundle run: --id ID is missing");
        return options;
    }
    if (arguments.size() == 1 && !any_option) {
        options.bundle = arguments[0];
        options.id = "locald-bootstrap-" + std::to_string(::getpid());
        return options;
    }
    walker.refuse("bundle: expected `bundle run --bundle PATH --id ID` or `bundle PATH`");
}

Options parse_make(const Globals& globals, Walker& walker, bool create) {
    Options options = with_globals(globals);
    if (create) options.fate = Fate::created;
    options.own_terminal = true;
    for (std::string name; walker.next_option(name);) {
        if (take_common(options, walker, name)) continue;
        if (name == "--console-socket") {
            options.console_socket = walker.value();
        } else if (name == "--pidfd-socket") {
            options.pidfd_socket = walker.value();
        } else if (name == "--no-subreaper") {
            walker.flag();  // we never become one
        } else if (!create && (name == "-d" || name == "--detach")) {
            if (walker.flag()) options.fate = Fate::detached;
        } else if (!create && name == "--keep") {
            options.keep = walker.flag();
        } else {
            walker.unknown();
        }
    }
    walker.need_exactly(1);
    options.id = walker.arguments()[0];
    return options;
}

}  // namespace locald::shim
