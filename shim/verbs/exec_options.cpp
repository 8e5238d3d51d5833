#include "shim/verbs/exec_options.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/container/validate.hpp"

namespace locald::shim {

namespace {

constexpr std::size_t most_process = 16U << 20U;
constexpr unsigned most_fd = 1U << 16U;

/// (uid_t)-1 means “leave it” to the kernel and is nobody's.
std::uint32_t id_of(std::string_view text, const char* what, const std::string& whole) {
    const auto number = parse_u64(text);
    if (!number || *number >= std::numeric_limits<std::uint32_t>::max()) {
        throw Error(ErrorKind::invalid, std::string("bad ") + what + ": " + json_quote(whole))
            .with_remedy("numbers are expected, as in --user 1000:1000");
    }
    return static_cast<std::uint32_t>(*number);
}

oci::Process read_process(const std::string& path) {
    const posix::UniqueFd file = posix::open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    const struct stat st = posix::fstat(file, path);
    if (S_ISDIR(st.st_mode)) throw Error(ErrorKind::invalid, path + ": is a directory");
    return in_step(path, [&] { return oci::parse_process(posix::read_all(file, path, most_process)); });
}

void add(std::vector<std::string>& set, const std::string& name) {
    if (std::find(set.begin(), set.end(), name) == set.end()) set.push_back(name);
}

/// Never inheritable: nothing that the program executes is to gain them (CVE-2022-29162).
void add_capabilities(oci::Process& process, const std::vector<std::string>& names) {
    if (names.empty()) return;
    if (!process.capabilities) process.capabilities.emplace();
    for (const auto& name : names) {
        const std::string full = name.starts_with("CAP_") ? name : "CAP_" + name;
        add(process.capabilities->bounding, full);
        add(process.capabilities->permitted, full);
        add(process.capabilities->effective, full);
    }
}

}  // namespace

ExecOptions parse_exec(const Globals& globals, Walker& walker) {
    ExecOptions options;
    options.root = globals.root;
    walker.stop_at_argument();
    for (std::string name; walker.next_option(name);) {
        if (name == "-p" || name == "--process") {
            options.process_file = walker.value();
        } else if (name == "-d" || name == "--detach") {
            options.detach = walker.flag();
        } else if (name == "-t" || name == "--tty") {
            options.terminal = walker.flag();
        } else if (name == "--cwd") {
            options.cwd = walker.value();
        } else if (name == "-e" || name == "--env") {
            options.env.push_back(walker.value());
        } else if (name == "-u" || name == "--user") {
            options.user = walker.value();
        } else if (name == "-g" || name == "--additional-gids") {
            const std::string text = walker.value();
            options.additional_gids.push_back(id_of(text, "gid", text));
        } else if (name == "-c" || name == "--cap") {
            options.capabilities.push_back(walker.value());
        } else if (name == "--no-new-privs") {
            options.no_new_privileges = walker.flag();
        } else if (name == "--apparmor") {
            options.apparmor = walker.value();
        } else if (name == "--process-label") {
            options.process_label = walker.value();
        } else if (name == "--cgroup") {
            options.cgroup = walker.value();
        } else if (name == "--ignore-paused") {
            options.ignore_paused = walker.flag();
        } else if (name == "--pid-file") {
            options.pid_file = walker.value();
        } else if (name == "--console-socket") {
            options.console_socket = walker.value();
        } else if (name == "--pidfd-socket") {
            options.pidfd_socket = walker.value();
        } else if (name == "--console-fd") {
            options.console_fd = static_cast<int>(walker.number(most_fd));
        } else if (name == "--report-fd") {
            options.report_fd = static_cast<int>(walker.number(most_fd));
        } else if (name == "--preserve-fds") {
            options.preserve_fds = walker.number(1U << 16U);
        } else if (name == "--no-subreaper") {
            walker.flag();
        } else {
            walker.unknown();
        }
    }
    walker.need_at_least(1);
    options.id = walker.arguments()[0];
    options.args.assign(walker.arguments().begin() + 1, walker.arguments().end());
    if (options.args.empty() && options.process_file.empty()) walker.refuse("exec args cannot be empty");
    return options;
}

oci::Process exec_process(const ExecOptions& options, const std::optional<oci::Process>& own) {
    if (!options.process_file.empty()) {
        oci::Process process = read_process(options.process_file);
        validate_process(process);
        return process;
    }
    oci::Process process = own.value_or(oci::Process());
    process.args = options.args;
    process.terminal = options.terminal;
    process.console_size.reset();
    if (!options.cwd.empty()) process.cwd = options.cwd;
    if (process.cwd.empty()) process.cwd = "/";
    for (const auto& entry : options.env) {
        const auto equals = entry.find('=');
        if (equals == std::string::npos) {
            throw Error(ErrorKind::invalid,
                        "--env " + json_quote(entry) + ": invalid environment variable: missing '='");
        }
        if (equals == 0) {
            throw Error(ErrorKind::invalid,
                        "--env " + json_quote(entry) + ": invalid environment variable: name cannot be empty");
        }
        process.env.push_back(entry);
    }
    if (!options.user.empty()) parse_exec_user(options.user, process.user);
    for (const auto gid : options.additional_gids) process.user.additional_gids.push_back(gid);
    add_capabilities(process, options.capabilities);
    if (options.no_new_privileges) process.no_new_privileges = true;
    if (!options.apparmor.empty()) process.apparmor_profile = options.apparmor;
    if (!options.process_label.empty()) process.selinux_label = options.process_label;
    validate_process(process);
    return process;
}

void parse_exec_user(const std::string& text, oci::User& user) {
    const auto colon = text.find(':');
    const std::string_view whole = text;
    user.uid = id_of(whole.substr(0, colon), "uid", text);
    if (colon != std::string::npos) user.gid = id_of(whole.substr(colon + 1), "gid", text);
}

}  // namespace locald::shim
