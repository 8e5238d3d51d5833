#include "shim/namespaces/namespaces.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/procfs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/namespaces/given_user.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

struct Type {
    std::string_view name;
    std::uint64_t flag;
};
constexpr std::array types{
    Type{"pid", CLONE_NEWPID},       Type{"network", CLONE_NEWNET}, Type{"ipc", CLONE_NEWIPC},
    Type{"uts", CLONE_NEWUTS},       Type{"mount", CLONE_NEWNS},    Type{"user", CLONE_NEWUSER},
    Type{"cgroup", CLONE_NEWCGROUP}, Type{"time", CLONE_NEWTIME},
};

}  // namespace

bool NamespacePlan::has(std::uint64_t flag) const noexcept { return is_new(flag) || find_joined(flag) != nullptr; }

const JoinedNamespace* NamespacePlan::find_joined(std::uint64_t flag) const noexcept {
    const auto found = std::find_if(joined.begin(), joined.end(), [&](const auto& j) { return j.flag == flag; });
    return found == joined.end() ? nullptr : &*found;
}

std::uint64_t NamespacePlan::clone_flags() const noexcept {
    const std::uint64_t later =
        CLONE_NEWCGROUP | CLONE_NEWTIME | (network ? CLONE_NEWNET : 0) | (has(CLONE_NEWUSER) ? CLONE_NEWIPC : 0);
    return fresh & ~later;
}

std::uint64_t namespace_flag(const std::string& type) {
    for (const auto& entry : types) {
        if (entry.name == type) return entry.flag;
    }
    return 0;
}

std::vector<std::string> known_namespaces() {
    std::vector<std::string> names;
    for (const auto& entry : types) names.emplace_back(entry.name);
    return names;
}

namespace {

UniqueFd open_namespace(const oci::Namespace& entry, std::uint64_t flag) {
    const std::string what = "join the " + entry.type + " namespace";
    // Not blocking: the name could be that of a FIFO.
    UniqueFd fd = in_step(what, [&] { return posix::open(entry.path, O_RDONLY | O_NONBLOCK | O_NOCTTY); });
    const int found = ::ioctl(fd.get(), NS_GET_NSTYPE);
    if (found < 0) throw Error(ErrorKind::invalid, what + ": " + entry.path + " is not a namespace");
    if (static_cast<std::uint64_t>(found) == flag) return fd;
    std::string kind = "other";
    for (const auto& type : types) {
        if (type.flag == static_cast<std::uint64_t>(found)) kind = type.name;
    }
    throw Error(ErrorKind::invalid,
                what + ": " + entry.path + " is not a " + entry.type + " namespace, it is a " + kind + " namespace");
}

bool is_own_user_namespace(const UniqueFd& fd) {
    const UniqueFd own = posix::open("/proc/self/ns/user", O_RDONLY);
    const struct stat theirs = posix::fstat(fd, "the user namespace");
    const struct stat ours = posix::fstat(own, "/proc/self/ns/user");
    return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

}  // namespace

NamespacePlan plan_namespaces(const oci::Linux& config) {
    NamespacePlan plan;
    for (const auto& entry : config.namespaces) {
        const std::uint64_t flag = namespace_flag(entry.type);
        if (entry.path.empty()) {
            plan.fresh |= flag;
            continue;
        }
        JoinedNamespace joined{flag, entry.type, entry.path, open_namespace(entry, flag)};
        // The kernel lets nobody enter the user namespace he is in.
        if (flag == CLONE_NEWUSER && is_own_user_namespace(joined.fd)) continue;
        plan.joined.push_back(std::move(joined));
    }
    check_id_maps(plan, config);
    join_given_user_namespace(plan);
    plan.time_offsets = config.time_offsets;
    return plan;
}

void join_namespace(const JoinedNamespace& joined) {
    if (::setns(joined.fd.get(), static_cast<int>(joined.flag)) == 0) return;
    const int err = errno;
    Error error(kind_of_errno(err), "join the " + joined.type + " namespace " + joined.path + ": " + errno_text(err),
                err);
    if (err == EPERM) {
        error.with_remedy("it takes CAP_SYS_ADMIN in the user namespace that owns it: join that one too, or be root");
    } else if (err == EINVAL && joined.flag == CLONE_NEWPID) {
        error.with_remedy("only one's own pid namespace and those below it can be joined");
    }
    throw error;
}

namespace {

bool is_for_later(const JoinedNamespace& joined) {
    return joined.entered || joined.flag == CLONE_NEWNS || joined.flag == CLONE_NEWUSER;
}

}  // namespace

void join_around_user_namespace(NamespacePlan& plan) {
    for (auto& joined : plan.joined) {
        if (is_for_later(joined)) continue;
        try {
            join_namespace(joined);
            joined.entered = true;
        } catch (const Error& e) {
            if (e.os_errno() != EPERM) throw;
        }
    }
    for (auto& joined : plan.joined) {
        if (joined.flag != CLONE_NEWUSER) continue;
        join_namespace(joined);
        joined.entered = true;
    }
    // A pid namespace is entered by the fork that follows, so it is for us; the others the child may try once more.
    for (auto& joined : plan.joined) {
        if (is_for_later(joined) || (plan.is_new(CLONE_NEWUSER) && joined.flag != CLONE_NEWPID)) continue;
        join_namespace(joined);
        joined.entered = true;
    }
}

void join_remaining(NamespacePlan& plan) {
    for (auto& joined : plan.joined) {
        if (is_for_later(joined) || joined.flag == CLONE_NEWPID) continue;
        join_namespace(joined);
        joined.entered = true;
    }
}

std::vector<oci::IdMapping> parse_id_map(const std::string& text) {
    std::vector<oci::IdMapping> maps;
    for (const auto line : split(text, '\n')) {
        std::array<std::uint32_t, 3> numbers{};
        std::size_t count = 0;
        for (const auto word : split(line, ' ')) {
            const auto number = parse_u64(word);
            if (number && count < numbers.size()) numbers[count++] = static_cast<std::uint32_t>(*number);
        }
        if (count == numbers.size()) maps.push_back({numbers[0], numbers[1], numbers[2]});
    }
    return maps;
}

UserNamespaceMaps read_id_maps(const JoinedNamespace& user) {
    // The kernel shows maps only of processes: one goes in, and waits there to be looked at from outside.
    auto [ours, theirs] = posix::make_socket_pair();
    clone_args args{};
    args.exit_signal = SIGCHLD;
    const pid_t pid = posix::clone3(args);
    if (pid == 0) {
        char byte = 0;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        ours.reset();
        if (::setns(user.fd.get(), CLONE_NEWUSER) != 0) byte = static_cast<char>(errno);
        static_cast<void>(::send(theirs.get(), &byte, 1, MSG_NOSIGNAL) == 1);
        static_cast<void>(::recv(theirs.get(), &byte, 1, 0) == 1);
        ::_exit(0);
    }
    theirs.reset();
    UserNamespaceMaps maps;
    const std::string place = "/proc/" + std::to_string(pid);
    const auto reap = [&] {
        ours.reset();
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
    };
    try {
        char error = EIO;
        if (::recv(ours.get(), &error, 1, 0) != 1 || error != 0) {
            throw_errno(error, "join the user namespace ", user.path);
        }
        maps.uids = parse_id_map(posix::read_file(place + "/uid_map", 1U << 20U));
        maps.gids = parse_id_map(posix::read_file(place + "/gid_map", 1U << 20U));
    } catch (...) {
        reap();
        throw;
    }
    reap();
    return maps;
}

void check_id_maps(const NamespacePlan& plan, const oci::Linux& config) {
    const auto* user = plan.find_joined(CLONE_NEWUSER);
    if (user == nullptr || (config.uid_mappings.empty() && config.gid_mappings.empty())) return;
    const auto same = [](std::vector<oci::IdMapping> a, std::vector<oci::IdMapping> b) {
        const auto less = [](const auto& x, const auto& y) { return x.container_id < y.container_id; };
        std::sort(a.begin(), a.end(), less);
        std::sort(b.begin(), b.end(), less);
        return a == b;
    };
    const UserNamespaceMaps maps = read_id_maps(*user);
    if (same(maps.uids, config.uid_mappings) && same(maps.gids, config.gid_mappings)) return;
    throw Error(ErrorKind::invalid,
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only "
                "provide one")
        .with_remedy("leave linux.uidMappings and linux.gidMappings out, or give those of " + user->path);
}

namespace {

constexpr const char* offsets_file = "self/timens_offsets";

/// For the children of this process. @param file  offsets_file, opened for writing
void make_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets, const UniqueFd& file) {
    if (::unshare(CLONE_NEWTIME) != 0) {
        const int err = errno;
        Error error(kind_of_errno(err), "make a time namespace: " + errno_text(err), err);
        if (err == EINVAL) error.with_remedy("it takes Linux 5.6 with CONFIG_TIME_NS");
        throw error;
    }
    if (offsets.empty()) return;
    std::string text;
    for (const auto& [clock, offset] : offsets) {
        text += clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
    }
    in_step("linux.timeOffsets", [&] { posix::write_all(file, text, offsets_file); });
}

}  // namespace

void enter_new_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets) {
    make_time_namespace(offsets, offsets.empty() ? UniqueFd() : posix::open_in_proc(offsets_file, O_WRONLY));
    const UniqueFd own = posix::open("/proc/self/ns/time_for_children", O_RDONLY);
    if (::setns(own.get(), CLONE_NEWTIME) != 0) throw_errno(errno, "enter the new time namespace");
}

void enter_joined_user_namespace(NamespacePlan& plan) {
    const bool time = plan.is_new(CLONE_NEWTIME);
    const UniqueFd file = time && !plan.time_offsets.empty() ? posix::open_in_proc(offsets_file, O_WRONLY) : UniqueFd();
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(errno, "become undumpable");
    join_around_user_namespace(plan);
    if (!time) return;
    make_time_namespace(plan.time_offsets, file);
    plan.fresh &= ~static_cast<std::uint64_t>(CLONE_NEWTIME);  // the child is born in it
}

void become_namespace_root() {
    // EINVAL: nobody is 0 in here (`--userns keep-id` without grants); all rights are held by any id that made it.
    if (::setresgid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "become group 0 of the user namespace");
    if (::setresuid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "become user 0 of the user namespace");
}

}  // namespace locald::shim
