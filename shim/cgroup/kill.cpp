#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/places.hpp"

namespace locald::shim {

namespace {

constexpr std::chrono::seconds most_waiting{10};

using Place = CgroupPlace;

bool is_empty(const Place& place) {
    if (place.mount->v2) {
        // Counts the descendants, and processes that another pid namespace hides from cgroup.procs.
        if (const auto populated = place.dir.value("cgroup.events", "populated")) return *populated == 0;
    }
    return place.dir.all_processes().empty();
}

void signal_all(const Place& place) {
    for (const pid_t pid : place.dir.all_processes()) ::kill(pid, SIGKILL);
}

/// Frozen, nothing in it can fork while its processes are killed; they die once it thaws.
void kill_frozen(const Place& place) {
    if (place.dir.write("freezer.state", "FROZEN") == 0) {
        // A process in an uninterruptible wait keeps it FREEZING; the kill does not wait for that.
        Backoff backoff(std::chrono::milliseconds(200));
        while (trim(place.dir.read("freezer.state").value_or("")) != "FROZEN" && backoff.wait()) {
        }
    }
    signal_all(place);
    place.dir.write("freezer.state", "THAWED");
}

/// One attempt by the surest means this hierarchy has.
void kill_once(const Place& place) {
    if (place.mount->v2) {
        if (place.dir.write("cgroup.kill", "1") == 0) return;
        // Before 5.14: frozen first, for the same reason as on v1.
        place.dir.write("cgroup.freeze", "1");
        signal_all(place);
        place.dir.write("cgroup.freeze", "0");
    } else if (place.mount->has("freezer")) {
        kill_frozen(place);
    } else {
        // No process more can be made where the kernel counts them.
        if (place.mount->has("pids")) place.dir.write("pids.max", "0");
        signal_all(place);
    }
}

/// rmdir of `dir`'s child `name` with all below it; EBUSY while processes are on their way out.
void remove_tree(const CgroupDir& dir, const std::string& name, Backoff& backoff) {
    for (;;) {
        const auto child = dir.child(name);
        if (!child) return;
        for (const auto& below : child.children()) remove_tree(child, below, backoff);
        const int err = dir.remove(name);
        if (err == 0 || err == ENOENT) return;
        if (err != EBUSY || !backoff.wait()) {
            std::string text = "remove cgroup " + child.path() + ": " + errno_text(err);
            const auto pids = child.all_processes();
            if (!pids.empty()) text += ", process " + std::to_string(pids.front()) + " is still in it";
            throw Error(kind_of_errno(err), text, err).with_remedy("end what runs there, then delete again");
        }
    }
}

std::string parent_of(const std::string& path) { return path.substr(0, path.find_last_of('/')); }
std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

/// Our own tree, /locald/user-<uid>/<id>/c: the two levels above <id> go with the last container. Whoever makes one at
/// that moment begins its walk again.
void remove_own_parents(const std::string& limits) {
    const std::string user = parent_of(limits);
    const std::string top = parent_of(user);
    constexpr std::string_view user_prefix = "user-";
    const std::string user_name = name_of(user);
    if (!user_name.starts_with(user_prefix) || !parse_u64(std::string_view(user_name).substr(user_prefix.size())) ||
        name_of(top) != "locald") {
        return;
    }
    for (const auto& path : {user, top}) {
        const auto above = CgroupDir::open(cgroup_host(), parent_of(path));
        if (!above || above.remove(name_of(path)) != 0) return;
    }
}

/// systemd makes and removes directories where it has controllers. In the other hierarchies of v1 (freezer, cpuset, …)
/// those of its unit and slices on the way to `path` are ours; the slices go with the last container.
void remove_unit_directories(const std::string& path, const std::string& unit) {
    const CgroupMount* mount = cgroup_host().of(path);
    if (mount == nullptr || mount->v2) return;
    for (const char* name : {"name=systemd", "cpu", "cpuacct", "memory", "blkio", "devices", "pids"}) {
        if (mount->has(name)) return;
    }
    for (std::string above = parent_of(path); above.size() > mount->mount_point.size(); above = parent_of(above)) {
        const bool ours = above.ends_with("/" + unit) || above.find("/" + unit + "/") != std::string::npos;
        if ((!ours && !above.ends_with(".slice")) || ::rmdir(above.c_str()) != 0) return;
    }
}

}  // namespace

void Cgroup::kill_all() const {
    if (pending_) return;  // what is there already is another's
    const auto places = places_of(paths_);
    Backoff backoff(most_waiting);
    for (;;) {
        bool empty = true;
        // The first is the surest (v2, else freezer); the others are asked because a process could have been moved.
        for (const auto& place : places) {
            if (is_empty(place)) continue;
            empty = false;
            kill_once(place);
        }
        if (empty) return;
        if (!backoff.wait()) {
            std::string text = "kill all processes of the container: ";
            for (const auto& place : places) {
                if (!is_empty(place)) text += place.dir.path() + " is not empty after 10 s ";
            }
            throw Error(ErrorKind::unavailable, std::string(trim(text)))
                .with_remedy(
                    "a process in an uninterruptible wait (state D in ps) ends when its device or server "
                    "answers");
        }
    }
}

void Cgroup::remove() const {
    if (pending_) return;
    stop_unit();
    for (const auto& path : paths_) {
        const std::string limits = limits_place(path);
        // Mostly it is one empty directory; nothing below the mount point of a cgroup hierarchy is a link.
        if (limits != path || ::rmdir(path.c_str()) != 0) {
            Backoff backoff(most_waiting);
            if (const auto above = CgroupDir::open(cgroup_host(), parent_of(limits))) {
                remove_tree(above, name_of(limits), backoff);
            }
        }
        if (limits != path) remove_own_parents(limits);
        if (!unit_.empty()) remove_unit_directories(path, unit_);
    }
}

bool Cgroup::oom_killed() const {
    for (const auto& path : paths_) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount == nullptr) continue;
        const char* file = mount->v2 ? "memory.events" : "memory.oom_control";
        if (!mount->v2 && !mount->has("memory")) continue;
        // v1 counts at the cgroup that hit its limit or at the victim's own, depending on the kernel.
        for (const auto& at : {limits_place(path), path}) {
            const auto dir = CgroupDir::open(cgroup_host(), at);
            if (dir && dir.value(file, "oom_kill").value_or(0) > 0) return true;
        }
    }
    return false;
}

std::vector<pid_t> Cgroup::processes() const {
    for (const auto& place : places_of(paths_)) {
        auto pids = place.dir.all_processes();
        if (!pids.empty()) return pids;
    }
    return {};
}

}  // namespace locald::shim
