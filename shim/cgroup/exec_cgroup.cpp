#include "shim/cgroup/exec_cgroup.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/cgroup/user_limits.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

struct SubCgroup {
    std::vector<std::string> controllers;  ///< empty: v2
    std::string path;                      ///< relative, clean
};

[[noreturn]] void refuse(const std::string& argument, const char* why) {
    throw Error(ErrorKind::invalid, "invalid --cgroup argument: " + argument + why);
}

/// A path that stays below where it starts, by its text; openat2 sees to links, of which a cgroup has none.
std::string clean_below(const std::string& path) {
    std::string clean;
    for (const auto part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") throw Error(ErrorKind::invalid, "bad sub cgroup path: " + path);
        clean += (clean.empty() ? "" : "/") + std::string(part);
    }
    return clean.empty() ? "." : clean;
}

SubCgroup parse(const std::string& argument) {
    SubCgroup sub;
    const auto colon = argument.find(':');
    if (colon == std::string::npos) {
        sub.path = clean_below(argument);
        return sub;
    }
    for (const auto name : split(std::string_view(argument).substr(0, colon), ',')) {
        if (name.empty()) refuse(argument, " (empty <controller> prefix)");
        sub.controllers.emplace_back(name);
    }
    sub.path = clean_below(argument.substr(colon + 1));
    return sub;
}

bool is_v2(const UniqueFd& dir) {
    struct statfs fs {};
    return ::fstatfs(dir.get(), &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

UniqueFd open_sub(const UniqueFd& dir, const std::string& path, const std::string& sub) {
    return in_step("--cgroup: " + path, [&] {
        return posix::openat2(dir, sub, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    });
}

int write_pid(const UniqueFd& dir, pid_t pid) {
    const UniqueFd file(::openat(dir.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    const std::string text = std::to_string(pid);
    return file && ::write(file.get(), text.data(), text.size()) >= 0 ? 0 : errno;
}

[[noreturn]] void cannot_move(int err, pid_t pid, const std::string& path) {
    throw Error(kind_of_errno(err),
                "move process " + std::to_string(pid) + " to " + path + "/cgroup.procs: " + errno_text(err), err)
        .with_remedy("who runs exec must be allowed to write there and in every cgroup above it up to his own");
}

/// The v2 cgroup of `first` as a path below the mount that `beside` lies on.
std::string cgroup_of(pid_t first, const std::string& beside) {
    const CgroupMount* mount = cgroup_host().of(beside);
    const std::string text = posix::read_file("/proc/" + std::to_string(first) + "/cgroup", 1U << 20U);
    for (const auto line : split(text, '\n')) {
        if (mount != nullptr && line.starts_with("0::/")) return mount->mount_point + std::string(line.substr(3));
    }
    return beside;
}

}  // namespace

ExecCgroup::ExecCgroup(const std::vector<std::string>& recorded, const std::string& argument) {
    const SubCgroup sub = argument.empty() ? SubCgroup{} : parse(argument);
    bool found = argument.empty();
    for (const auto& path : recorded) {
        UniqueFd dir(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (!dir) throw_errno(errno, "open the container's cgroup ", path);
        const bool v2 = is_v2(dir);
        if (!argument.empty()) {
            const CgroupMount* mount = v2 ? nullptr : cgroup_host().of(path);
            const bool meant = sub.controllers.empty()
                                   ? v2
                                   : mount != nullptr &&
                                         std::any_of(sub.controllers.begin(), sub.controllers.end(),
                                                     [&](const auto& name) { return cgroup_host().v1(name) == mount; });
            if (meant) dir = open_sub(dir, path, sub.path);
            found = found || meant;
        }
        if (v2) {
            v2_ = std::move(dir);
            v2_path_ = path;
        } else {
            v1_.push_back({std::move(dir), path});
        }
    }
    if (!found) refuse(argument, sub.controllers.empty() ? " (missing <controller>: prefix)" : ": no such controller");
}

void ExecCgroup::attach(pid_t pid, bool born_in_v2, pid_t first) const {
    if (v2_ && !born_in_v2) {
        int err = write_pid(v2_, pid);
        if (err == EBUSY || err == EOPNOTSUPP) {
            const UniqueFd dir(::open(cgroup_of(first, v2_path_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
            err = dir ? write_pid(dir, pid) : errno;
        }
        if (err != 0) cannot_move(err, pid, v2_path_);
    }
    for (const auto& place : v1_) {
        if (const int err = write_pid(place.dir, pid); err != 0) cannot_move(err, pid, place.path);
    }
    if (!v2_ && v1_.empty()) return stay_within_user_limits(pid);
    check_pids_of_user();
}

}  // namespace locald::shim
