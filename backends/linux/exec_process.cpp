#include "backends/linux/exec_process.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/bundle/rootfs/account_files.hpp"

namespace locald::backends {

namespace {

void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
    const std::string prefix = name + "=";
    const auto found = std::find_if(environment.begin(), environment.end(),
                                    [&](const std::string& entry) { return entry.starts_with(prefix); });
    if (found != environment.end()) {
        *found = prefix + value;
    } else {
        environment.push_back(prefix + value);
    }
}

/// As at the start of a container: root has all that he may have, everybody else nothing of it.
void fit_capabilities(oci::Process& process) {
    if (!process.capabilities) return;
    auto& sets = *process.capabilities;
    sets.inheritable.clear();
    sets.ambient.clear();
    sets.permitted = sets.effective = process.user.uid == 0 ? sets.bounding : std::vector<std::string>();
}

}  // namespace

oci::Process make_exec_process(const oci::Process& own, const runtime::ExecOptions& options, const std::string& root) {
    if (options.command.empty()) throw Error(ErrorKind::invalid, "no command is given");
    oci::Process process = own;
    process.args = options.command;
    process.terminal = options.tty;
    process.console_size.reset();
    if (!options.workdir.empty()) {
        if (!options.workdir.starts_with('/')) {
            throw Error(ErrorKind::invalid, "working directory " + json_quote(options.workdir) + ": must be absolute");
        }
        process.cwd = options.workdir;
    }
    if (!options.user.empty()) {
        const auto user = bundle::resolve_user(options.user, bundle::read_account_files({root}));
        const bool was_root = process.user.uid == 0;
        process.user.uid = user.uid;
        process.user.gid = user.gid;
        process.user.additional_gids = user.additional_gids;
        set_variable(process.env, "HOME", user.home);
        if (was_root != (user.uid == 0)) fit_capabilities(process);
    }
    if (options.tty && std::none_of(process.env.begin(), process.env.end(),
                                    [](const std::string& entry) { return entry.starts_with("TERM="); })) {
        process.env.emplace_back("TERM=xterm");
    }
    for (const auto& [name, value] : options.env) set_variable(process.env, name, value);
    return process;
}

}  // namespace locald::backends
