#include "shim/container/spawn.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/start/birth.h"
#include "shim/start/rights.h"

namespace locald::shim {

using posix::UniqueFd;

namespace {

[[noreturn]] void fail(const Error& e, std::uint64_t flags) {
    Error error = e;
    error.add_context("make the container's namespaces");
    if ((flags & CLONE_NEWUSER) != 0 && (e.os_errno() == EPERM || e.os_errno() == ENOSPC)) {
        error.with_remedy(
            "this host allows no user namespace to this user (user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns): `locald doctor` "
            "names the rule, and `sudo locald admin setup --group GROUP` gives them to a group");
    } else if (e.os_errno() == EPERM) {
        error.with_remedy("run as root, or give the container a user namespace");
    }
    throw error;
}

struct Birth {
    const std::function<void()>* body;
    sigset_t signals;
};

/// In the child that the foothold made.
void be_born(void* argument) {
    const auto* birth = static_cast<const Birth*>(argument);
    locald_rights.foothold.pid = 0;  // not its own child's
    ::sigprocmask(SIG_SETMASK, &birth->signals, nullptr);
    (*birth->body)();
    ::_exit(125);
}

/// Nobody needs it after the one process, whether that was made by it or not.
struct FootholdEnd {
    ~FootholdEnd() { locald_dismiss_foothold(&locald_rights.foothold); }
};

/// As clone3 with CLONE_INTO_CGROUP, made by the foothold as our child. It makes one process.
/// @return the pid, or -errno
/// @param user_namespace  entered before; -1: none
long clone_from_foothold(const clone_args& wanted, int user_namespace, const std::function<void()>& body) {
    clone_args args = wanted;
    args.flags |= CLONE_PARENT;  // of the foothold: ours
    args.exit_signal = 0;        // the foothold's own
    Birth birth{&body, {}};
    ::sigprocmask(SIG_SETMASK, nullptr, &birth.signals);
    locald_foothold& foothold = locald_rights.foothold;
    foothold.user_namespace = user_namespace;
    foothold.args = &args;
    foothold.args_size = sizeof args;
    foothold.body = be_born;
    foothold.argument = &birth;
    const long pid = locald_ask_foothold(&foothold);
    if (pid != -ESRCH && pid != -ETIMEDOUT) return pid;
    throw Error(ErrorKind::lost, "make the container's process in your cgroup locald/user-" +
                                     std::to_string(::getuid()) + ": the process there that makes it " +
                                     (pid == -ESRCH ? "was killed" : "did not answer for 5 seconds"))
        .with_remedy(pid == -ESRCH ? "start again; `kill` from elsewhere does this, or a memory limit that is reached"
                                   : "it is frozen: echo 0 > cgroup.freeze there and below (version 1: echo THAWED > "
                                     "freezer.state), then start again");
}

/// Linux 6.14 and newer kills at birth what CLONE_INTO_CGROUP makes where something was once written to cgroup.kill of
/// the maker's own cgroup, and not of the other. The signal is there before clone3 comes back.
bool is_killed_at_birth(const UniqueFd& proc, pid_t pid) {
    constexpr std::string_view key = "\nShdPnd:\t";
    constexpr int hexadecimal = 16;
    std::array<char, 4096> status{};
    const UniqueFd file(::openat(proc.get(), (std::to_string(pid) + "/status").c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t n = file ? ::read(file.get(), status.data(), status.size()) : -1;
    const std::string_view text(status.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    const auto at = text.find(key);
    if (at == std::string_view::npos) return false;  // then the loss of the process is the error
    std::uint64_t pending = 0;
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), pending, hexadecimal);
    return (pending >> (SIGKILL - 1U) & 1U) != 0;
}

/// Opened before this process joins another's mounts, where numbers are other processes'.
UniqueFd open_proc(const UniqueFd& cgroup) {
    return cgroup ? UniqueFd(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) : UniqueFd();
}

bool born_elsewhere = false;

/// clone3, born in `cgroup` if that is possible. Some refusals of CLONE_INTO_CGROUP only mean that the process must be
/// moved there later.
Spawned clone_into(std::uint64_t flags, int exit_signal, const UniqueFd& cgroup, const std::function<void()>& body,
                   UniqueFd proc = {}) {
    if (!proc) proc = open_proc(cgroup);
    Spawned spawned;
    int pidfd = -1;
    clone_args args{};
    args.flags = flags | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = static_cast<__u64>(exit_signal);
    if (!cgroup && locald_rights.foothold.pid > 0) {
        // Without a cgroup of its own it stays in the foothold's, where the user's limits hold.
        const long pid = clone_from_foothold(args, -1, body);
        if (pid < 0)
            throw_errno(static_cast<int>(-pid), "make a process in locald/user-", std::to_string(::getuid()),
                        "/.start");
        spawned.pid = static_cast<pid_t>(pid);
        spawned.process.reset(pidfd);
        return spawned;
    }
    if (cgroup) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<__u64>(cgroup.get());
        if (locald_rights.foothold.pid > 0) {
            const long pid = clone_from_foothold(args, -1, body);
            if (pid > 0) {
                spawned.pid = static_cast<pid_t>(pid);
                spawned.process.reset(pidfd);
                spawned.born_in_cgroup = true;
                return spawned;
            }
        }
        try {
            spawned.pid = posix::clone3(args);
            spawned.born_in_cgroup = true;
        } catch (const Error& e) {
            const int err = e.os_errno();
            if (err != EACCES && err != EPERM && err != EBUSY && err != EOPNOTSUPP && err != EINVAL) throw;
        }
        if (spawned.born_in_cgroup && spawned.pid > 0 && is_killed_at_birth(proc, spawned.pid)) {
            while (::waitpid(spawned.pid, nullptr, __WALL) < 0 && errno == EINTR) {
            }
            ::close(pidfd);
            pidfd = -1;
            spawned.born_in_cgroup = false;
        }
        args.flags &= ~static_cast<std::uint64_t>(CLONE_INTO_CGROUP);
        args.cgroup = 0;
        born_elsewhere = !spawned.born_in_cgroup;  // told to the child by its copy of our memory
    }
    if (!spawned.born_in_cgroup) spawned.pid = posix::clone3(args);
    if (spawned.pid == 0) {
        locald_rights.foothold.pid = 0;  // not its own child's
        proc.reset();
        body();
        ::_exit(125);
    }
    spawned.process.reset(pidfd);
    return spawned;
}

/// Makes the process through a helper, which `enter`s namespaces first and then makes it as our child (CLONE_PARENT).
/// We could not come back from a user namespace.
Spawned spawn_through_helper(std::uint64_t flags, const UniqueFd& cgroup, const std::function<void()>& enter,
                             const std::function<void()>& body) {
    auto [ours, theirs] = posix::make_socket_pair();
    const UniqueFd& tell = theirs;
    Spawned helper = clone_into(0, SIGCHLD, cgroup, [&] {
        try {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            enter();
            const Spawned child = clone_into(flags | CLONE_PARENT, 0, UniqueFd(), body);
            send(tell, Sync::mapped, std::to_string(child.pid));
        } catch (const Error& e) {
            send_error(tell, e);
        }
        ::_exit(0);
    });
    theirs.reset();
    std::string number;
    const auto reap = [&] {
        while (::waitpid(helper.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
    };
    try {
        number = wait_for(ours, Sync::mapped);
    } catch (...) {
        reap();
        throw;
    }
    reap();
    Spawned spawned;
    spawned.pid = static_cast<pid_t>(std::stol(number));
    spawned.process = posix::pidfd_open(spawned.pid);
    spawned.born_in_cgroup = helper.born_in_cgroup;
    return spawned;
}

/// Where a user namespace is involved and others are joined: the host's namespaces must be joined with the rights that
/// the user namespace takes away, its own with those that it gives.
void enter_for(NamespacePlan& namespaces) {
    if (namespaces.find_joined(CLONE_NEWUSER) != nullptr) {
        enter_joined_user_namespace(namespaces);
    } else {
        join_around_user_namespace(namespaces);
    }
}

/// Only children enter a pid namespace; those that we make later, the hooks, belong into our own again. Whoever has no
/// rights in his own (root of a user namespace, in the host's pid namespace) could not come back: a helper goes
/// instead.
Spawned spawn_in_pid_namespace(const NamespacePlan& namespaces, const JoinedNamespace& pid, const UniqueFd& cgroup,
                               const std::function<void()>& body) {
    const JoinedNamespace own{CLONE_NEWPID, "pid", "/proc/self/ns/pid", posix::open("/proc/self/ns/pid", O_RDONLY)};
    if (::setns(own.fd.get(), CLONE_NEWPID) != 0) {
        return spawn_through_helper(
            namespaces.clone_flags(), cgroup, [&] { join_namespace(pid); }, body);
    }
    join_namespace(pid);
    Spawned spawned;
    try {
        spawned = clone_into(namespaces.clone_flags(), SIGCHLD, cgroup, body);
    } catch (...) {
        join_namespace(own);
        throw;
    }
    join_namespace(own);
    return spawned;
}

/// Where the one namespace that is joined is the caller's user namespace and the foothold is there, it does both: a
/// process less than with a helper of ours, and its copy of our memory.
std::optional<Spawned> spawn_in_given_namespace(NamespacePlan& namespaces, const UniqueFd& cgroup,
                                                const std::function<void()>& body) {
    JoinedNamespace* const user = namespaces.joined.size() == 1 ? namespaces.joined.data() : nullptr;
    if (locald_rights.foothold.pid <= 0 || !cgroup || user == nullptr || user->flag != CLONE_NEWUSER ||
        namespaces.is_new(CLONE_NEWTIME)) {
        return std::nullopt;
    }
    Spawned spawned;
    int pidfd = -1;
    clone_args args{};
    args.flags = namespaces.clone_flags() | CLONE_PIDFD | CLONE_INTO_CGROUP;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.cgroup = static_cast<__u64>(cgroup.get());
    user->entered = true;  // in the child's copy
    const long pid = clone_from_foothold(args, user->fd.get(), body);
    if (pid < 0) {
        user->entered = false;
        throw_errno(static_cast<int>(-pid), "make the container's process in ", user->type, " namespace ", user->path);
    }
    spawned.pid = static_cast<pid_t>(pid);
    spawned.process.reset(pidfd);
    spawned.born_in_cgroup = true;
    return spawned;
}

}  // namespace

bool must_be_moved() noexcept { return born_elsewhere; }

Spawned spawn(NamespacePlan& namespaces, const Cgroup& cgroup, const std::function<void()>& body) {
    const FootholdEnd end;
    // systemd moves it from our own cgroup, and could not from there.
    if (cgroup.has_scope()) locald_dismiss_foothold(&locald_rights.foothold);
    try {
        if (auto spawned = spawn_in_given_namespace(namespaces, cgroup.birth_place(), body)) return *std::move(spawned);
        if (namespaces.has(CLONE_NEWUSER) && !namespaces.joined.empty()) {
            return spawn_through_helper(
                namespaces.clone_flags(), cgroup.birth_place(), [&] { enter_for(namespaces); }, body);
        }
        if (const auto* pid = namespaces.find_joined(CLONE_NEWPID)) {
            return spawn_in_pid_namespace(namespaces, *pid, cgroup.birth_place(), body);
        }
        return clone_into(namespaces.clone_flags(), SIGCHLD, cgroup.birth_place(), body);
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::lost) throw;
        fail(e, namespaces.clone_flags());
    }
}

Spawned spawn_beside(const UniqueFd& first, std::uint64_t flags, const UniqueFd& cgroup,
                     const std::function<void()>& body) {
    const FootholdEnd end;
    const auto enter = [&] {
        if (flags != 0 && ::setns(first.get(), static_cast<int>(flags)) != 0) {
            throw_errno(errno, "join the container's namespaces");
        }
    };
    if ((flags & CLONE_NEWUSER) != 0) return spawn_through_helper(0, cgroup, enter, body);
    UniqueFd proc = open_proc(cgroup);
    enter();
    return clone_into(0, SIGCHLD, cgroup, body, std::move(proc));
}

std::string remedy_for_lost_process(int signal) {
    if (signal == SIGKILL) {
        return "a memory limit that is reached does this, or `kill` from elsewhere; and Linux 6.14 and newer kills "
               "what is "
               "made from a cgroup in whose cgroup.kill something was once written: start from another cgroup then";
    }
    return "a seccomp filter that forbids what the start needs (setresuid, capset, execve, exit) does this";
}

Error silenced_error(const std::string& program, int err) {
    return Error(err == ENOENT ? ErrorKind::command_not_found : ErrorKind::not_executable,
                 "exec: " + json_quote(program) + ": " + errno_text(err), err)
        .with_remedy("linux.seccomp forbids to say more: allow execve, sendmsg and exit_group to the program");
}

HostPlace::HostPlace(std::uint64_t flags) {
    if ((flags & CLONE_NEWNS) == 0 || (flags & CLONE_NEWUSER) != 0) return;  // then only others leave it
    mounts_ = posix::open("/proc/self/ns/mnt", O_RDONLY);
    root_ = posix::open("/", O_PATH | O_DIRECTORY);
    cwd_ = posix::open(".", O_PATH | O_DIRECTORY);
}

void HostPlace::come_back() const {
    if (!mounts_) return;
    if (::setns(mounts_.get(), CLONE_NEWNS) != 0 || ::fchdir(root_.get()) != 0 || ::chroot(".") != 0 ||
        ::fchdir(cwd_.get()) != 0) {
        throw_errno(errno, "come back from the container's mount namespace");
    }
}

}  // namespace locald::shim
