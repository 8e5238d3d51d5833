#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/procfs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

// The C library's functions of these names change the ids of all threads that it knows, by signals: four calls more
// each, and here is one thread.
int raw_setgroups(std::size_t count, const gid_t* groups) {
    return static_cast<int>(::syscall(SYS_setgroups, count, groups));
}
int raw_setresgid(gid_t id) { return static_cast<int>(::syscall(SYS_setresgid, id, id, id)); }
int raw_setresuid(uid_t id) { return static_cast<int>(::syscall(SYS_setresuid, id, id, id)); }

constexpr mode_t default_umask = 0022;

std::string list_of(const std::vector<gid_t>& ids) {
    std::string text;
    for (const gid_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
    return text;
}

[[noreturn]] void throw_id_error(int err, const std::string& what) {
    throw Error(kind_of_errno(err), what + ": " + errno_text(err), err)
        .with_remedy(err == EINVAL ? "the id is not mapped in the container's user namespace: grant a range in "
                                     "/etc/subuid and /etc/subgid, or use an id that is mapped"
                                   : "the runtime needs CAP_SETUID and CAP_SETGID here");
}

bool setgroups_is_denied() {
    const posix::UniqueFd file(::open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC));
    std::array<char, 8> text{};
    return file && ::read(file.get(), text.data(), text.size()) > 0 && text.front() == 'd';
}

void set_groups(const oci::User& user) {
    const std::vector<gid_t> groups(user.additional_gids.begin(), user.additional_gids.end());
    if (raw_setgroups(groups.size(), groups.data()) == 0) {
        const int count = ::getgroups(0, nullptr);
        if (count == static_cast<int>(groups.size())) return;
        throw Error(ErrorKind::denied, "set process.user.additionalGids: the kernel keeps " + std::to_string(count) +
                                           " groups instead of " + std::to_string(groups.size()));
    }
    const int err = errno;
    // A single-id map denies setgroups for good (user_namespaces(7)); the caller's own groups then stay, unmapped.
    // Engines ask all the same for the groups that the image names, and other runtimes start the program without them.
    if (err == EPERM && (groups.empty() || setgroups_is_denied())) return;
    throw Error(kind_of_errno(err), "set process.user.additionalGids " + list_of(groups) + ": " + errno_text(err), err)
        .with_remedy(err == EPERM ? "setgroups is denied in a user namespace with one id: grant a range in "
                                    "/etc/subgid and install newgidmap (package uidmap)"
                                  : "every group must be mapped in the container's user namespace");
}

}  // namespace

void set_user(const oci::User& user, bool keep_groups) {
    ::umask(user.umask ? static_cast<mode_t>(*user.umask) : default_umask);
    if (!keep_groups) set_groups(user);
    if (raw_setresgid(user.gid) != 0) {
        throw_id_error(errno, "set process.user.gid " + std::to_string(user.gid));
    }
    if (raw_setresuid(user.uid) != 0) {
        throw_id_error(errno, "set process.user.uid " + std::to_string(user.uid));
    }
    uid_t real = 0, effective = 0, saved = 0;
    gid_t real_gid = 0, effective_gid = 0, saved_gid = 0;
    if (::getresuid(&real, &effective, &saved) != 0 || ::getresgid(&real_gid, &effective_gid, &saved_gid) != 0) {
        throw_errno(errno, "read the ids back");
    }
    if (real != user.uid || effective != user.uid || saved != user.uid || real_gid != user.gid ||
        effective_gid != user.gid || saved_gid != user.gid) {
        throw Error(ErrorKind::denied, "set process.user: the kernel keeps other ids than asked for");
    }
}

void set_no_new_privileges() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) throw_errno(errno, "set process.noNewPrivileges");
}

void new_session_keyring(const std::string& name) {
    const long id = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str(), 0, 0, 0);
    if (id >= 0) return;
    // A kernel without keyrings has nothing to protect; a full quota (EDQUOT) is the caller's other keys' fault.
    if (errno == ENOSYS || errno == EDQUOT) return;
    const int err = errno;
    throw Error(kind_of_errno(err), "make the session keyring " + json_quote(name) + ": " + errno_text(err), err)
        .with_remedy(
            "an outer container's seccomp profile may forbid keyctl; allow it there, or pass --no-new-keyring");
}

void set_oom_score_adj(int value) {
    const std::string text = std::to_string(value);
    if (value < -1000 || value > 1000) {
        throw Error(ErrorKind::invalid, "process.oomScoreAdj: expected -1000..1000, got " + text);
    }
    const std::string path = "/proc/thread-self/oom_score_adj";
    try {
        const auto file = posix::open_in_proc("thread-self/oom_score_adj", O_WRONLY);
        posix::write_all(file, text, path);
    } catch (Error& e) {
        e.add_context("set process.oomScoreAdj to " + text);
        e.with_remedy("lowering it below the caller's own value takes CAP_SYS_RESOURCE on the host");
        throw;
    }
}

}  // namespace locald::shim
