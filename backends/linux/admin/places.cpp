#include "backends/linux/admin/places.hpp"

#include <dirent.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "backends/linux/admin/cgroup_trees.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/admin/subtrees.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

constexpr const char* states = "/run/locald";
constexpr const char* made_by_setup = "trusted.locald.setup";
constexpr const char* made_before = "trusted.locald.before";
constexpr std::array controllers = {"memory", "pids", "cpu", "io", "cpuset", "hugetlb"};

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

std::vector<std::string> directories_in(const std::string& path) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, DirCloser> stream(::opendir(path.c_str()));
    if (!stream) return names;
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    return names;
}

bool has_word(std::string_view text, std::string_view word) {
    const auto words = split(text, ' ');
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// Where version 2 is mounted; empty: nowhere.
std::string cgroup2_mount() {
    for (const char* place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        struct statfs fs {};
        if (::statfs(place, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) return place;
    }
    return {};
}

/// Those of `wanted` that `dir` does not give to its children.
std::vector<std::string> not_enabled(const std::string& dir, const std::vector<std::string>& wanted) {
    const std::string enabled = kernel_text(dir + "/cgroup.subtree_control");
    std::vector<std::string> missing;
    std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(missing),
                 [&](const auto& name) { return !has_word(enabled, name); });
    return missing;
}

/// One by one: a controller that cannot be had (cpu beside real-time processes, say) keeps no other.
void enable(const std::string& dir, const std::vector<std::string>& names, std::string& failed) {
    const std::string path = dir + "/cgroup.subtree_control";
    for (const auto& name : not_enabled(dir, names)) {
        try {
            posix::write_all(posix::open(path, O_WRONLY), "+" + name, path);
        } catch (const Error& e) {
            failed.append(failed.empty() ? "" : ", ").append(name).append(" (" + errno_text(e.os_errno()) + ")");
        }
    }
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text.append(text.empty() ? "" : " ").append(word);
    return text;
}

bool is_version_1(const std::string& path) {
    struct statfs fs {};
    return ::statfs(path.c_str(), &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC;
}

/// Whether `remove` may take this tree: one of version 1 is the shim's own (shim/start/subtree.c makes it where a user
/// starts something) unless the first setup found it there, one of version 2 has setup's mark.
bool is_setups(const std::string& tree) {
    if (is_version_1(tree)) return ::lgetxattr(tree.c_str(), made_before, nullptr, 0) < 0;
    return ::lgetxattr(tree.c_str(), made_by_setup, nullptr, 0) >= 0;
}

/// True for a user of the group, by his entry or by the group's.
bool is_member(uid_t uid, const std::string& group) {
    const auto* wanted = ::getgrnam(group.c_str());
    const auto number = parse_u64(group);  // a group that has lost its name
    if (wanted == nullptr && !number) return true;
    const gid_t gid = wanted != nullptr ? wanted->gr_gid : static_cast<gid_t>(number.value_or(0));
    const passwd* user = ::getpwuid(uid);
    if (user == nullptr) return false;
    constexpr int most = 65536;  // NGROUPS_MAX
    std::vector<gid_t> groups(most);
    int count = most;
    if (::getgrouplist(user->pw_name, user->pw_gid, groups.data(), &count) < 0) return true;  // too many to tell
    groups.resize(static_cast<std::size_t>(count));
    return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

/// Every hierarchy in which the shim makes `locald` (shim/start/subtree.c).
std::vector<std::string> trees() {
    std::vector<std::string> found;
    for (const char* place : {"", "/unified", "/pids", "/memory", "/cpu", "/cpu,cpuacct", "/freezer"}) {
        const std::string path = std::string("/sys/fs/cgroup") + place + "/locald";
        struct stat st {};
        if (::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) found.push_back(path);
    }
    return found;
}

/// The controllers of version 1 that the shim uses for a user's containers, where they are mounted.
std::string controllers_of_version_1() {
    std::vector<std::string> found;
    for (const char* name : {"memory", "pids", "cpu", "freezer"}) {
        if (is_version_1(std::string("/sys/fs/cgroup/") + name)) found.emplace_back(name);
    }
    return joined(found);
}

bool is_states_mount() {
    struct stat own {};
    struct stat parent {};
    struct statfs fs {};
    return ::lstat(states, &own) == 0 && S_ISDIR(own.st_mode) && ::lstat("/run", &parent) == 0 &&
           own.st_dev != parent.st_dev && ::statfs(states, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

void mount_states() {
    const auto dir = open_root_directory(states, true);
    // By descriptor: what was looked at is what is mounted on.
    const std::string target = "/proc/self/fd/" + std::to_string(dir.fd.get());
    if (::mount("locald", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, states_options) != 0) {
        throw_errno(errno, "mount a tmpfs on ", states);
    }
}

}  // namespace

bool has_states() {
    for (const auto& user : directories_in(states)) {
        const std::string above = std::string(states) + "/" + user + "/";
        const auto names = directories_in(above);
        // A directory alone is nobody's container: its user may make as many as he likes.
        const bool has_one = std::any_of(names.begin(), names.end(), [&](const auto& name) {
            struct stat st {};
            return ::lstat((above + name + "/state.json").c_str(), &st) == 0 && S_ISREG(st.st_mode);
        });
        if (has_one) return true;
    }
    return false;
}

void see_to_cgroups(const Work& work, const std::optional<SharedLimits>& limits) {
    const std::string mount = cgroup2_mount();
    if (mount.empty()) {
        const std::string had = controllers_of_version_1();
        work.note("cgroup.tree", had.empty() ? "no cgroups are mounted on /sys/fs/cgroup: limits are refused"
                                             : "cgroups are version 1: the shim makes what it needs itself, with the "
                                               "controllers " +
                                                   had);
        return;
    }
    const std::string old = controllers_of_version_1();
    const std::string and_old = old.empty() ? std::string() : "; of version 1, which the shim uses itself: " + old;
    const std::string tree = mount + "/locald";
    const auto looked = open_root_directory(tree, false);
    work.see_to("cgroup.tree", looked.exists,
                {tree + " is there for the containers of users", tree + " is not there for the containers of users"},
                "sudo locald admin remove", [&] {
                    const auto made = open_root_directory(tree, true);
                    // For `remove`: one that somebody else made, and perhaps delegated, is not setup's to take away.
                    static_cast<void>(::fsetxattr(made.fd.get(), made_by_setup, "1", 1, 0));
                });
    std::vector<std::string> wanted;
    const std::string available = kernel_text(mount + "/cgroup.controllers");
    std::copy_if(controllers.begin(), controllers.end(), std::back_inserter(wanted),
                 [&](const auto* name) { return has_word(available, name); });
    if (wanted.empty()) {
        work.note("cgroup.controllers", old.empty() ? std::string("there is no controller here: limits are refused")
                                                    : "version 2 has no controller here: limits go through those of "
                                                      "version 1: " +
                                                          old);
        return;
    }
    std::string failed;
    std::string unlimited;
    const auto lacking = not_enabled(tree, wanted);
    work.see_to("cgroup.controllers", lacking.empty(),
                {"the containers of users have the controllers " + joined(wanted) + and_old,
                 "the containers of users lack the controllers " + joined(lacking) + and_old},
                "sudo locald admin remove", [&] {
                    enable(mount, wanted, failed);
                    enable(tree, wanted, failed);
                    // At once: until then a subtree from before has no such limit.
                    if (limits) unlimited = limit_subtrees(tree, lacking, *limits);
                });
    if (!unlimited.empty())
        work.note("cgroup.users", "these keep no limit until their users' next start: " + unlimited);
    if (!failed.empty()) work.note("cgroup.controllers", "these controllers cannot be had: " + failed);
    work.note("cgroup.tree", "this lasts until the host starts anew: an init that is not systemd has to repeat it",
              host::own_executable() + " --quiet admin setup   # from a start script of root's");
}

void mark_others_cgroups() {
    for (const auto& tree : trees()) {
        if (is_version_1(tree)) static_cast<void>(::lsetxattr(tree.c_str(), made_before, "1", 1, 0));
    }
}

void see_to_former_users(const Work& work, const std::string& group) {
    if (group.empty()) return;
    auto places = trees();
    places.emplace_back("/sys/fs/cgroup/system.slice/locald.service");
    std::vector<std::string> left;
    std::string users;
    for (const auto& tree : places) {
        const std::string above = tree + "/";
        for (const auto& name : directories_in(tree)) {
            const std::string mark = "user-";
            const auto uid = name.starts_with(mark) ? parse_u64(name.substr(mark.size())) : std::nullopt;
            if (!uid || *uid == 0 || *uid > UINT32_MAX || is_member(static_cast<uid_t>(*uid), group)) continue;
            if (!is_without_processes(above + name)) {
                std::string what = above + name;
                what.append(" stays its user's, who is not in the group ").append(group);
                work.note("cgroup.users", what.append(", while his containers run"),
                          "sudo locald admin setup   # when they have ended");
                continue;
            }
            left.push_back(above + name);
            if (!has_word(users, name)) users.append(users.empty() ? "" : " ").append(name);
        }
    }
    if (left.empty()) return;
    work.see_to("cgroup.users", false,
                {"cgroups of users who are not in the group " + group + " are gone: " + users,
                 "users who are not in the group " + group + " still have cgroups of their own: " + users},
                {}, [&] {
                    for (const auto& path : left) remove_tree_of_cgroups(path);
                });
}

void remove_cgroups(const Work& work) {
    for (const auto& tree : trees()) {
        if (!is_setups(tree)) {
            work.note("cgroup.tree", tree + " was not made by setup: it stays");
            continue;
        }
        if (!is_without_processes(tree)) {
            work.note("cgroup.tree", "containers still run in " + tree + ": it stays",
                      "sudo locald admin remove   # when they have ended");
            continue;
        }
        work.see_away("cgroup.tree", false, tree, {}, [&] { remove_tree_of_cgroups(tree); });
    }
}

void see_to_states(const Work& work) {
    const Work::Words what{
        std::string(states) + " is a tmpfs of its own (nosuid, nodev, noexec, " + states_options + ")",
        std::string(states) + " is no tmpfs of its own: a user who fills it fills /run"};
    const bool is_so = is_states_mount();
    if (!is_so) open_root_directory("/run", false);
    if (!is_so && has_states()) {
        work.note("run.states", std::string("containers have their states in ") + states + ": no tmpfs hides them",
                  "sudo locald admin setup   # when they have ended");
        return;
    }
    work.see_to("run.states", is_so, what, "sudo locald admin remove", mount_states);
}

void remove_states(const Work& work) {
    if (has_states()) {
        work.note("run.states", std::string("containers have their states in ") + states + ": it stays",
                  "sudo locald admin remove   # when they have ended");
        return;
    }
    bool held = false;
    work.see_away("run.states", !is_states_mount(), std::string("the tmpfs on ") + states, {}, [&] {
        if (::umount2(states, UMOUNT_NOFOLLOW) == 0) return;
        // Nothing in it is a container's: whoever has a directory or a file of it open keeps no more than that.
        held = errno == EBUSY;
        if (!held || ::umount2(states, UMOUNT_NOFOLLOW | MNT_DETACH) != 0) throw_errno(errno, "umount ", states);
    });
    if (held) {
        work.note("run.states", std::string("a process still stands in what was ") + states +
                                    ", or has a file of it open: its memory comes back when that ends");
    }
}

}  // namespace locald::backends::admin
