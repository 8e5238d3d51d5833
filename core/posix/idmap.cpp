#include "core/posix/idmap.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/procfs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::posix {

namespace {

constexpr std::size_t most_map_lines = 340;  // the kernel's limit; user_namespaces(7)

std::vector<IdRange> grants_in(const char* path, const std::string& user, std::uint32_t id) {
    const UniqueFd file = open_if_exists(path, O_RDONLY);
    return file ? parse_subid(read_all(file, path), user, id) : std::vector<IdRange>();
}

/// Once set, by a service manager or a sandbox, it holds for all that this process starts.
bool has_no_new_privs() { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

/// Runs newuidmap or newgidmap for `pid`; its own words go into the error.
void run_helper(const std::string& helper, pid_t pid, const std::vector<IdMapping>& maps) {
    std::vector<std::string> words{helper, std::to_string(pid)};
    for (const auto& map : maps) {
        words.push_back(std::to_string(map.container_id));
        words.push_back(std::to_string(map.host_id));
        words.push_back(std::to_string(map.size));
    }
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::array<char*, 1> env{nullptr};

    Pipe said = make_pipe();
    const pid_t child = ::fork();
    if (child < 0) throw_errno(errno, "fork for ", helper);
    if (child == 0) {
        ::dup2(said.write.get(), STDERR_FILENO);
        ::dup2(said.write.get(), STDOUT_FILENO);
        ::execve(helper.c_str(), argv.data(), env.data());
        ::_exit(127);
    }
    said.write.reset();
    const std::string words_said = read_all(said.read, helper, 64U << 10U);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    throw Error(ErrorKind::denied, helper + " for process " + std::to_string(pid) + ": " +
                                       std::string(trim(words_said.empty() ? "failed" : words_said)))
        .with_remedy(has_no_new_privs() ? "no_new_privs is set for this process, so " + helper +
                                              " has no rights of its own: start from a session without it"
                                        : "check the caller's lines in /etc/subuid and /etc/subgid, and that " +
                                              helper + " is setuid root or has its file capability");
}

void write_map_file(pid_t pid, const char* name, const std::string& text) {
    const std::string path = std::to_string(pid) + "/" + name;
    // One write(2): the kernel takes a map only whole.
    const UniqueFd file = open_in_proc(path, O_WRONLY);
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        throw_errno(errno, "write \"", trim(text), "\" to /proc/", path);
    }
}

/// True when the caller may write any map by itself: it has CAP_SETUID and CAP_SETGID in the parent namespace.
bool may_write_any_map() { return ::geteuid() == 0; }

std::uint64_t fnv1a(std::uint64_t hash, std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return hash;
}

}  // namespace

std::string IdMaps::fingerprint() const {
    // Not a secret and not a check, only a name: two maps of one user never meet in 64 bits.
    std::uint64_t hash = fnv1a(fnv1a(0xcbf29ce484222325ULL, map_text(uids)), "|" + map_text(gids));
    std::string hex;
    for (int i = 0; i < 16; ++i, hash <<= 4U) hex += "0123456789abcdef"[hash >> 60U];
    return hex;
}

std::vector<IdMapping> build_map(std::uint32_t own_id, const std::vector<IdRange>& grants, bool keep_id) {
    const std::uint32_t own_inside = keep_id ? own_id : 0;
    std::vector<IdMapping> maps{{own_inside, own_id, 1}};
    std::uint32_t next = own_inside == 0 ? 1 : 0;
    for (IdRange grant : grants) {
        while (grant.count > 0 && maps.size() < most_map_lines) {
            if (next == own_inside && own_inside != 0) ++next;
            std::uint32_t size = std::min(grant.count, std::numeric_limits<std::uint32_t>::max() - next);
            if (next < own_inside) size = std::min(size, own_inside - next);
            if (size == 0) break;
            maps.push_back({next, grant.first, size});
            next += size;
            grant.first += size;
            grant.count -= size;
        }
    }
    std::sort(maps.begin(), maps.end());
    return maps;
}

std::string map_text(const std::vector<IdMapping>& maps) {
    std::string text;
    for (const auto& map : maps) {
        text += std::to_string(map.container_id) + " " + std::to_string(map.host_id) + " " + std::to_string(map.size) +
                "\n";
    }
    return text;
}

std::string find_id_map_helper(const char* name) {
    for (const char* dir : {"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
        std::string path = std::string(dir) + name;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return {};
}

IdMaps caller_id_maps(bool keep_id, MapWriter writer) {
    const auto uid = static_cast<std::uint32_t>(::getuid());
    const auto gid = static_cast<std::uint32_t>(::getgid());
    const std::string user = user_name(uid);
    auto uids = grants_in("/etc/subuid", user, uid);
    auto gids = grants_in("/etc/subgid", user, uid);
    // A group range that holds the caller's own group would map it twice.
    std::erase_if(gids, [&](const IdRange& r) { return gid >= r.first && gid - r.first < r.count; });

    IdMaps maps;
    const std::string shown = user.empty() ? std::to_string(uid) : user;
    if (uids.empty() || gids.empty()) {
        maps.why_not_full = std::string(uids.empty() ? "/etc/subuid" : "/etc/subgid") + " grants no ids to " + shown;
        maps.remedy = subid_command(shown);
        if (maps.remedy.empty()) maps.remedy = "no range of ids is left above those of /etc/subuid and /etc/subgid";
    } else if (writer == MapWriter::helpers &&
               (find_id_map_helper("newuidmap").empty() || find_id_map_helper("newgidmap").empty())) {
        maps.why_not_full = "newuidmap and newgidmap are not installed";
        maps.remedy = "sudo apt-get install uidmap";
    } else if (writer == MapWriter::helpers && has_no_new_privs()) {
        maps.why_not_full =
            "no_new_privs is set for this process, so newuidmap and newgidmap have no rights of their own";
        maps.remedy = "start from a session without no_new_privs (NoNewPrivileges=no of a service of systemd)";
    } else {
        maps.full = true;
    }
    if (!maps.full) {
        uids.clear();
        gids.clear();
    }
    maps.uids = build_map(uid, uids, keep_id);
    maps.gids = build_map(gid, gids, keep_id);
    return maps;
}

void write_id_maps(pid_t pid, const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids) {
    const auto own_alone = [](const std::vector<IdMapping>& maps, std::uint32_t own) {
        return maps.size() == 1 && maps.front().size == 1 && maps.front().host_id == own;
    };
    const bool any = may_write_any_map();
    if (any || own_alone(uids, ::geteuid())) {
        write_map_file(pid, "uid_map", map_text(uids));
    } else {
        const std::string helper = find_id_map_helper("newuidmap");
        if (helper.empty()) {
            throw Error(ErrorKind::unsupported, "write uid_map with more than the caller's own id: no newuidmap")
                .with_remedy("sudo apt-get install uidmap");
        }
        run_helper(helper, pid, uids);
    }
    if (any) {
        write_map_file(pid, "gid_map", map_text(gids));
    } else if (own_alone(gids, ::getegid())) {
        // Without this the kernel refuses the map: dropping a group could grant what the group was denied
        // (CVE-2014-8989).
        write_map_file(pid, "setgroups", "deny");
        write_map_file(pid, "gid_map", map_text(gids));
    } else {
        const std::string helper = find_id_map_helper("newgidmap");
        if (helper.empty()) {
            throw Error(ErrorKind::unsupported, "write gid_map with more than the caller's own id: no newgidmap")
                .with_remedy("sudo apt-get install uidmap");
        }
        run_helper(helper, pid, gids);
    }
}

UniqueFd make_user_namespace(const IdMaps& maps) {
    SocketPair pair = make_socket_pair();
    // Raw clone: the child of a process with threads may do no more than system calls, and it does no more.
    clone_args args{};
    args.flags = CLONE_NEWUSER;
    args.exit_signal = SIGCHLD;
    pid_t child = -1;
    try {
        child = clone3(args);
    } catch (Error& e) {
        e.add_context("make a user namespace");
        if (e.os_errno() == EPERM || e.os_errno() == ENOSPC) {
            e.with_remedy(
                "this host allows no user namespace to this user (user.max_user_namespaces, "
                "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns): `locald doctor` "
                "names the rule, and `sudo locald admin setup --group GROUP` gives them to a group");
        }
        throw;
    }
    if (child == 0) {
        char byte = 0;
        ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        ::close(pair.first.get());
        while (::syscall(SYS_recvfrom, pair.second.get(), &byte, 1, 0, nullptr, nullptr) < 0 && errno == EINTR) {
        }
        ::syscall(SYS_exit_group, 0);
    }
    pair.second.reset();
    UniqueFd result;
    const auto reap = [&] {
        pair.first.reset();  // the child's read ends, and with it the child
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    };
    try {
        write_id_maps(child, maps.uids, maps.gids);
        result = open("/proc/" + std::to_string(child) + "/ns/user", O_RDONLY);
    } catch (Error& e) {
        reap();
        e.add_context("make a user namespace");
        throw;
    } catch (...) {
        reap();
        throw;
    }
    reap();
    return result;
}

}  // namespace locald::posix
