#include "shim/cgroup/layout.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "shim/base/mountinfo.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

constexpr std::array<std::string_view, 14> v1_controllers{
    "cpu",  "cpuacct", "cpuset",  "memory",   "devices",    "freezer", "blkio",
    "pids", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma",    "misc",
};
constexpr std::size_t longest_name = 255;

bool is_v1_controller(std::string_view word) {
    return word.starts_with("name=") ||
           std::find(v1_controllers.begin(), v1_controllers.end(), word) != v1_controllers.end();
}

/// True when `path` is `dir` or below it, by components.
bool is_below(std::string_view path, std::string_view dir) {
    if (dir == "/") return path.starts_with('/');
    return path.starts_with(dir) && (path.size() == dir.size() || path[dir.size()] == '/');
}

struct MountLine {
    std::uint64_t id = 0, parent = 0;
    std::string root, mount_point;
    std::string_view type, super_options;
};

/// One line: `36 35 98:0 /root /mount/point rw,noatime master:1 - type source rw,options`.
bool parse_line(std::string_view line, MountLine& out) {
    const auto words = split(line, ' ');
    constexpr std::size_t fixed = 6, after_dash = 3;
    const auto dash = std::find(words.begin() + static_cast<std::ptrdiff_t>(std::min(fixed, words.size())), words.end(),
                                std::string_view("-"));
    if (static_cast<std::size_t>(words.end() - dash) < after_dash + 1) return false;
    const auto id = parse_u64(words[0]);
    const auto parent = parse_u64(words[1]);
    if (!id || !parent || !words[4].starts_with('/')) return false;
    out.id = *id;
    out.parent = *parent;
    out.root = unescape_mountinfo(words[3]);
    out.mount_point = unescape_mountinfo(words[4]);
    out.type = *(dash + 1);
    out.super_options = *(dash + 3);
    return true;
}

std::vector<MountLine> parse_mounts(std::string_view text) {
    std::vector<MountLine> mounts;
    for (const auto line : split(text, '\n')) {
        MountLine mount;
        if (parse_line(line, mount)) mounts.push_back(std::move(mount));
    }
    return mounts;
}

/// True when a later mount lies over the place of `mounts[index]` and is not what that one is mounted on.
bool is_hidden(const std::vector<MountLine>& mounts, std::size_t index) {
    std::vector<std::uint64_t> ancestors;
    std::uint64_t parent = mounts[index].parent;
    for (std::size_t steps = 0; steps < mounts.size(); ++steps) {
        const auto found =
            std::find_if(mounts.begin(), mounts.end(), [&](const auto& mount) { return mount.id == parent; });
        if (found == mounts.end() || found->parent == parent) break;
        ancestors.push_back(parent);
        parent = found->parent;
    }
    for (std::size_t i = index + 1; i < mounts.size(); ++i) {
        if (!is_below(mounts[index].mount_point, mounts[i].mount_point)) continue;
        if (std::find(ancestors.begin(), ancestors.end(), mounts[i].id) == ancestors.end()) return true;
    }
    return false;
}

/// Own path of each controller, and of v2 under the empty name.
std::map<std::string, std::string, std::less<>> parse_own(std::string_view text) {
    std::map<std::string, std::string, std::less<>> own;
    for (const auto line : split(text, '\n')) {
        const auto first = line.find(':');
        if (first == std::string_view::npos) continue;
        const auto second = line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        const auto path = line.substr(second + 1);
        for (const auto name : split(line.substr(first + 1, second - first - 1), ',')) {
            own.emplace(std::string(name), std::string(path));
        }
    }
    return own;
}

/// `path` of /proc/self/cgroup below a mount that shows `root`. A cgroup outside of it counts as the root.
std::string own_below(const std::string& path, const std::string& root) {
    if (!is_below(path, root) || path.find("/..") != std::string::npos) return {};
    std::string below = path.substr(root == "/" ? 0 : root.size());
    below.erase(0, std::min(below.find_first_not_of('/'), below.size()));
    return below;
}

std::string parent_of(const std::string& relative) {
    const auto slash = relative.find_last_of('/');
    return slash == std::string::npos ? std::string() : relative.substr(0, slash);
}

std::string joined(const std::string& dir, const std::string& name) { return dir.empty() ? name : dir + "/" + name; }

/// systemd's own rule (its CGROUP_DELEGATION): cgroup2 at /sys/fs/cgroup means that there is nothing else. Saves the
/// list of mounts, which grows with the containers of a host. Only where that is the hierarchy's true root (inode 1):
/// else paths need what the list says.
std::optional<CgroupHost> unified_host() {
    constexpr const char* place = "/sys/fs/cgroup";
    struct statfs fs {};
    struct stat st {};
    if (::statfs(place, &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC || ::stat(place, &st) != 0 || st.st_ino != 1) {
        return std::nullopt;
    }
    CgroupMount mount{true, {}, place, {}};
    const std::string own = posix::read_file("/proc/self/cgroup");
    for (const auto line : split(own, '\n')) {
        if (line.starts_with("0::/")) mount.own = own_below(std::string(line.substr(3)), "/");
    }
    return CgroupHost{{std::move(mount)}};
}

}  // namespace

bool CgroupMount::has(std::string_view controller) const noexcept {
    return std::find(controllers.begin(), controllers.end(), controller) != controllers.end();
}

const CgroupMount* CgroupHost::v2() const noexcept {
    for (const auto& mount : mounts) {
        if (mount.v2) return &mount;
    }
    return nullptr;
}

const CgroupMount* CgroupHost::v1(std::string_view controller) const noexcept {
    for (const auto& mount : mounts) {
        if (!mount.v2 && mount.has(controller)) return &mount;
    }
    return nullptr;
}

const CgroupMount* CgroupHost::of(std::string_view path) const noexcept {
    const CgroupMount* best = nullptr;
    for (const auto& mount : mounts) {
        if (is_below(path, mount.mount_point) &&
            (best == nullptr || mount.mount_point.size() > best->mount_point.size())) {
            best = &mount;
        }
    }
    return best;
}

CgroupLayout CgroupHost::layout() const noexcept {
    bool any_v1 = false;
    for (const auto& mount : mounts) {
        for (const auto& name : mount.controllers) any_v1 = any_v1 || !name.starts_with("name=");
    }
    if (v2() != nullptr) return any_v1 ? CgroupLayout::hybrid : CgroupLayout::v2;
    return any_v1 ? CgroupLayout::v1 : CgroupLayout::none;
}

CgroupHost parse_cgroup_host(std::string_view mountinfo, std::string_view own_cgroups) {
    const auto mounts = parse_mounts(mountinfo);
    const auto own = parse_own(own_cgroups);
    CgroupHost host;
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const MountLine& line = mounts[i];
        if ((line.type != "cgroup" && line.type != "cgroup2") || is_hidden(mounts, i)) continue;
        CgroupMount mount;
        mount.v2 = line.type == "cgroup2";
        mount.mount_point = line.mount_point;
        if (!mount.v2) {
            for (const auto word : split(line.super_options, ',')) {
                if (is_v1_controller(word)) mount.controllers.emplace_back(word);
            }
            if (mount.controllers.empty()) continue;
        }
        const auto found = own.find(mount.v2 ? std::string() : mount.controllers.front());
        if (found != own.end()) mount.own = own_below(found->second, line.root);
        // A second mount of the same hierarchy (a container's, a chroot's) adds nothing; the usual place wins.
        const auto same = std::find_if(host.mounts.begin(), host.mounts.end(), [&](const CgroupMount& other) {
            return other.v2 == mount.v2 && other.controllers == mount.controllers;
        });
        if (same == host.mounts.end()) {
            host.mounts.push_back(std::move(mount));
        } else if (!is_below(same->mount_point, "/sys/fs/cgroup") && is_below(mount.mount_point, "/sys/fs/cgroup")) {
            *same = std::move(mount);
        }
    }
    return host;
}

const CgroupHost& cgroup_host() {
    static const CgroupHost host = [] {
        if (auto unified = unified_host()) return *std::move(unified);
        return parse_cgroup_host(posix::read_file("/proc/self/mountinfo"), posix::read_file("/proc/self/cgroup"));
    }();
    return host;
}

std::string clean_cgroups_path(const std::string& path) {
    const auto refuse = [&](const char* why) {
        throw Error(ErrorKind::invalid, "linux.cgroupsPath: " + json_quote(path) + " " + why)
            .with_remedy("name a directory below the cgroup root, such as /locald/web");
    };
    if (path.find('\0') != std::string::npos || path.find('\n') != std::string::npos) {
        refuse("has a line end or a NUL");
    }
    std::string clean;
    for (const auto part : split(path, '/')) {
        if (part.empty()) continue;
        if (part == "." || part == "..") refuse("has a `.` or `..`");
        if (part.size() > longest_name) refuse("has a name longer than 255 bytes");
        if (!clean.empty()) clean += '/';
        clean += part;
    }
    if (!path.empty() && clean.empty()) refuse("is the root of the hierarchy");
    return path.starts_with('/') ? "/" + clean : clean;
}

std::string place_in(const CgroupMount& mount, const std::string& clean_path, const std::string& id) {
    if (clean_path.starts_with('/')) return clean_path.substr(1);
    const std::string base = mount.v2 ? parent_of(mount.own) : mount.own;
    return joined(base, clean_path.empty() ? id : clean_path);
}

std::string limits_place(const std::string& processes_place) {
    constexpr std::string_view user_prefix = "user-", own_prefix = "locald-";
    const auto parts = split(processes_place, '/');
    const std::size_t count = parts.size();
    if (count < 2 || parts[count - 1] != "c") return processes_place;
    const bool delegated = parts[count - 2].starts_with(own_prefix);
    const bool users = count >= 3 && parts[count - 3].starts_with(user_prefix) &&
                       parse_u64(parts[count - 3].substr(user_prefix.size())).has_value();
    return delegated || users ? parent_of(processes_place) : processes_place;
}

std::vector<const CgroupMount*> hierarchies_for(const CgroupHost& host, const std::vector<std::string>& asked) {
    std::vector<const CgroupMount*> list;
    const auto add = [&](const CgroupMount* mount) {
        if (mount != nullptr && std::find(list.begin(), list.end(), mount) == list.end()) list.push_back(mount);
    };
    const CgroupMount* const v2 = host.v2();
    add(v2);
    if (v2 == nullptr) add(host.v1("freezer"));
    for (const auto& controller : asked) add(host.v1(controller));
    // A user of a setuid shim has limits for all his containers together, which must hold for one that asks for none.
    if (list.size() > (v2 != nullptr ? 1U : 0U) || locald_rights.mode == locald_was_setuid) {
        for (const char* controller : {"memory", "pids", "cpuacct"}) add(host.v1(controller));
    }
    return list;
}

}  // namespace locald::shim
