#include "shim/cgroup/maker.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

namespace {

std::vector<std::string> words_of(const CgroupDir& dir, const char* file) {
    const std::string text = dir.read(file).value_or("");
    std::vector<std::string> list;
    for (const auto word : split(trim(text), ' ')) list.emplace_back(word);
    return list;
}

bool contains(const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

/// v1: a cpuset that was just made is empty and takes no process; it starts with what its parent has.
void inherit_cpuset(const CgroupDir& parent, const CgroupDir& dir) {
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
        if (!trim(dir.read(file).value_or("-")).empty()) continue;
        const std::string value(trim(parent.read(file).value_or("")));
        if (const int err = dir.write(file, value); err != 0) {
            throw_errno(err, "write ", value, " to ", dir.path(), "/", file);
        }
    }
}

/// mkdir answers EAGAIN where a directory on the way has as many below it as it may.
std::string remedy_for_full(const CgroupMount& mount, const std::string& relative) {
    CgroupDir dir = CgroupDir::root_of(mount);
    for (const auto& name : path_components(relative)) {
        dir = dir.child(name);
        if (!dir) break;
        const std::string text = dir.read("cgroup.max.descendants").value_or("");
        const auto most = parse_u64(trim(text));
        if (!most || dir.value("cgroup.stat", "nr_descendants").value_or(0) < *most) continue;
        const std::string limit = "cgroup.max.descendants of " + dir.path() + " is " + std::to_string(*most);
        const bool of_setuid_shim = name.starts_with("user-") && dir.path().find("/locald") != std::string::npos;
        if (!of_setuid_shim) return limit + ": end a container, or let root raise it";
        const std::string containers = std::to_string((*most - std::min<std::uint64_t>(*most, 1)) /
                                                      2);  // two each, and the one they are in (subtree.c)
        return "your limit of " + containers + (containers == "1" ? " container" : " containers") +
               " is reached (containers = " + containers + " in /etc/locald/shim.conf; " + limit +
               "): end a container, or let root raise it, which is in force at the next start";
    }
    return "cgroup.max.descendants or cgroup.max.depth of a directory above allows no more: end a container, or let "
           "root raise it";
}

}  // namespace

std::vector<std::string> path_components(const std::string& relative) {
    std::vector<std::string> parts;
    for (const auto part : split(relative, '/')) {
        if (!part.empty()) parts.emplace_back(part);
    }
    return parts;
}

void CgroupMaker::need(const std::string& controller) {
    if (!controller.empty() && !contains(needed_, controller)) needed_.push_back(controller);
}

CgroupDir CgroupMaker::make(const std::string& relative) {
    constexpr int most_walks = 16;
    for (int walk = 1;; ++walk) {
        CgroupDir dir = CgroupDir::root_of(mount_);
        if (!dir) throw_errno(ENOENT, "open the cgroup hierarchy ", mount_.mount_point);
        int err = 0;
        for (const auto& name : path_components(relative)) {
            if (mount_.v2) hand_on(dir);
            CgroupDir next;
            err = enter(dir, name, next);
            if (err != 0) break;
            dir = std::move(next);
        }
        if (err == 0) return dir;
        if (err != ENOENT || walk == most_walks) {
            throw Error(kind_of_errno(err),
                        "make cgroup " + mount_.mount_point + "/" + relative + ": " + errno_text(err), err)
                .with_remedy(err == EAGAIN    ? remedy_for_full(mount_, relative)
                             : err == ENOTDIR ? "a file of the kernel's has this name there: choose another id"
                                              : remedy_for_cgroup_rights);
        }
    }
}

void CgroupMaker::hand_on_to(const std::string& relative) {
    if (needed_.empty()) return;
    CgroupDir dir = CgroupDir::root_of(mount_);
    for (const auto& name : path_components(relative)) {
        if (!dir) return;
        hand_on(dir);
        dir = dir.child(name);
    }
}

CgroupDir CgroupMaker::make_child(const CgroupDir& parent, const std::string& name) {
    CgroupDir dir;
    if (const int err = enter(parent, name, dir); err != 0) {
        throw_errno(err, "make cgroup ", parent.path(), "/", name);
    }
    return dir;
}

int CgroupMaker::enter(const CgroupDir& dir, const std::string& name, CgroupDir& out) {
    const int err = dir.make(name);
    if (err == 0 && made_ != nullptr) made_->push_back(dir.path() + "/" + name);
    // A read-only or foreign parent answers EROFS or EACCES also for what exists.
    out = dir.child(name);
    if (!out && errno == ENOTDIR) return ENOTDIR;
    if (!out) return err != 0 && err != EEXIST ? err : ENOENT;
    if (!mount_.v2 && mount_.has("cpuset")) inherit_cpuset(dir, out);
    return 0;
}

/// Enables in `dir` what is needed, exists and is not enabled yet.
void CgroupMaker::hand_on(const CgroupDir& dir) {
    if (needed_.empty()) return;
    const auto there = words_of(dir, "cgroup.controllers");
    const auto enabled = words_of(dir, "cgroup.subtree_control");
    std::string text;
    for (const auto& controller : needed_) {
        if (!contains(there, controller) || contains(enabled, controller)) continue;
        text.append(text.empty() ? "+" : " +").append(controller);
    }
    if (text.empty()) return;
    // Not an error yet: the limit's file will be missing, and that error tells this reason.
    if (const int err = dir.write("cgroup.subtree_control", text); err != 0) {
        refused_ = "write " + text + " to " + dir.path() + "/cgroup.subtree_control: " + errno_text(err);
    }
}

}  // namespace locald::shim
