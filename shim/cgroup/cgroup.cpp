#include "shim/cgroup/cgroup.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "shim/cgroup/dir.hpp"
#include "shim/cgroup/maker.hpp"
#include "shim/cgroup/owner.hpp"
#include "shim/cgroup/subgroup.hpp"
#include "shim/cgroup/user_limits.hpp"
#include "shim/cgroup/wish.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

/// The deepest directory on the way to `relative` that exists.
CgroupDir deepest_existing(const CgroupMount& mount, const std::string& relative) {
    CgroupDir dir = CgroupDir::root_of(mount);
    for (const auto& name : path_components(relative)) {
        if (!dir) break;
        auto next = dir.child(name);
        if (!next) break;
        dir = std::move(next);
    }
    return dir;
}

/// A container never moves in with others: what create() joins it would also kill and remove.
void check_free(const CgroupHost& host, const CgroupMount& mount, const std::string& relative) {
    const auto dir = CgroupDir::open(host, mount.mount_point + "/" + limits_place(relative));
    if (!dir) return;
    const auto pids = dir.all_processes();
    if (!pids.empty()) {
        throw Error(ErrorKind::exists, "use " + dir.path() + ": container's cgroup is not empty: " +
                                           std::to_string(pids.size()) + " process(es) found")
            .with_remedy("give another linux.cgroupsPath, or end what runs there");
    }
    const bool frozen = mount.v2 ? dir.value("cgroup.events", "frozen") == 1U
                                 : dir.read("freezer.state").value_or("").starts_with("FR");
    if (frozen) {
        throw Error(ErrorKind::exists, "use " + dir.path() + ": container's cgroup unexpectedly frozen")
            .with_remedy("thaw it, or give another linux.cgroupsPath");
    }
}

/// True when a process of ours can come to be there: on v2 an ordinary user goes only where the nearest directory above
/// both his own cgroup and the other is his to write, or where the setuid prologue has a foothold.
bool can_enter(const CgroupMount& mount, const std::string& place) {
    if (!mount.v2 || ::geteuid() == 0 || locald_rights.foothold.pid > 0) return true;
    std::string above;
    const auto ours = path_components(mount.own);
    const auto theirs = path_components(place);
    for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()) && ours[i] == theirs[i]; ++i)
        above.append("/").append(ours[i]);
    const auto dir = CgroupDir::open(CgroupHost{{mount}}, mount.mount_point + above);
    return dir && dir.writable("cgroup.procs");
}

/// A place in a subtree that an ordinary user was given: the one that the setuid prologue made for him; else beside our
/// own cgroup, where controllers can be handed on, or below it.
std::optional<std::string> delegated_place(const CgroupMount& mount, const std::string& id) {
    const std::string user = "/user-" + std::to_string(::geteuid());
    for (const char* base : {"system.slice/locald.service", "locald"}) {
        const auto dir =
            CgroupDir::open(CgroupHost{{mount}}, std::string(mount.mount_point).append("/").append(base).append(user));
        std::string place = base;
        place.append(user).append("/").append(id).append("/c");
        if (dir && dir.writable("cgroup.procs") && can_enter(mount, place)) return place;
    }
    if (!mount.v2) return std::nullopt;
    const auto slash = mount.own.find_last_of('/');
    const std::string parent = slash == std::string::npos ? "" : mount.own.substr(0, slash);
    for (const std::string& base : {parent, mount.own}) {
        const auto dir = CgroupDir::open(CgroupHost{{mount}}, mount.mount_point + "/" + base);
        if (!dir || !dir.writable("cgroup.procs")) continue;
        std::string place = base.empty() ? base : base + "/";
        return place.append("locald-").append(id).append("/c");
    }
    return std::nullopt;
}

std::string why_nowhere(const CgroupHost& host, const oci::Spec& spec) {
    if (host.mounts.empty()) return "no cgroup hierarchy is mounted";
    const std::string path = spec.linux_ ? clean_cgroups_path(spec.linux_->cgroups_path) : "";
    const auto& mount = host.v2() != nullptr ? *host.v2() : host.mounts.front();
    const auto dir = deepest_existing(mount, place_in(mount, path, "a-container"));
    const std::string where = dir ? dir.path() : mount.mount_point;
    const bool denied = ::faccessat(AT_FDCWD, where.c_str(), W_OK, AT_EACCESS) != 0;
    return "this user may not make cgroups in " + where + (denied ? ": " + errno_text(errno) : "");
}

}  // namespace

void check_homes(const CgroupHost& host, const oci::Spec& spec, const CgroupWish& wish,
                 const std::vector<std::string>& planned) {
    const auto check = [&](const CgroupLimit& limit, const CgroupMount* home) {
        const bool have = home != nullptr && std::any_of(planned.begin(), planned.end(),
                                                         [&](const auto& path) { return host.of(path) == home; });
        if (have || limit.skip_if_missing) return;
        const std::string file = limit.file;
        throw Error(ErrorKind::unsupported, limit.field + ": cannot write " + limit.value + " to " + file + ": " +
                                                (home == nullptr ? "no cgroup hierarchy for it is mounted"
                                                                 : why_nowhere(CgroupHost{{*home}}, spec)))
            .with_remedy(remedy_for_cgroup_rights);
    };
    for (const auto& limit : wish.v2) check(limit, host.v2());
    for (const auto& limit : wish.v1) check(limit, host.v1(limit.controller));
}

std::vector<std::string> Cgroup::plan(const oci::Spec& spec, const std::string& id, CgroupWish* wish) {
    const CgroupHost& host = cgroup_host();
    const std::string path = spec.linux_ ? clean_cgroups_path(spec.linux_->cgroups_path) : "";
    CgroupWish found = wish_of(host, resources_of(spec));
    std::vector<std::string> planned;
    for (const CgroupMount* mount : hierarchies_for(host, found.v1_controllers())) {
        std::string place = place_in(*mount, path, id);
        const auto dir = deepest_existing(*mount, place);
        if (!dir) continue;
        // Only the directory that holds the limits, or one below it, can have somebody in it.
        if (dir.path().size() >= mount->mount_point.size() + 1 + limits_place(place).size()) {
            check_free(host, *mount, place);
        }
        if (!dir.writable("cgroup.procs") || !can_enter(*mount, place)) {
            const auto given = delegated_place(*mount, id);
            if (!given) continue;
            place = *given;
            check_free(host, *mount, place);
        }
        planned.push_back(mount->mount_point + "/" + place);
    }
    if (wish != nullptr) *wish = std::move(found);
    return planned;
}

Cgroup Cgroup::create(const oci::Spec& spec, const std::vector<std::string>& planned, std::optional<CgroupWish> found) {
    const CgroupHost& host = cgroup_host();
    CgroupWish wish = found ? *std::move(found) : wish_of(host, resources_of(spec));
    check_homes(host, spec, wish, planned);
    Cgroup cgroup;
    cgroup.warnings_ = std::move(wish.warnings);
    if (planned.empty()) {
        cgroup.warnings_.push_back("the container has no cgroup of its own: " + why_nowhere(host, spec) +
                                   (!is_host_root()        ? "; `sudo locald admin setup` gives users their own"
                                    : wish.devices.empty() ? ""
                                                           : "; its device rules have no effect"));
        return cgroup;
    }
    const auto owner = host.layout() == CgroupLayout::v2 ? cgroup_owner(spec) : std::nullopt;
    std::vector<std::string> made;
    try {
        for (const auto& path : planned) {
            const CgroupMount* mount = host.of(path);
            if (mount == nullptr) throw Error(ErrorKind::not_found, "use " + path + ": it is in no cgroup hierarchy");
            const std::string relative = path.substr(mount->mount_point.size() + 1);
            if (!mount->v2) check_free(host, *mount, relative);
            const std::size_t before = made.size();
            CgroupDir dir = make_cgroup(*mount, relative, wish, made, cgroup.pending_limits_);
            // Somebody else's since the plan, unless the directory is new. On v2 nothing was written into it yet.
            if (mount->v2 && made.size() == before) check_free(host, *mount, relative);
            if (mount->v2 && owner) delegate(dir, *owner);
            if (mount->v2) cgroup.v2_ = dir.take();
            cgroup.paths_.push_back(path);
        }
    } catch (...) {
        // Deepest last, so backwards; what another container already uses refuses to go.
        for (auto path = made.rbegin(); path != made.rend(); ++path) ::rmdir(path->c_str());
        throw;
    }
    cgroup.wish_ = std::move(wish);
    cgroup.made_ = std::move(made);
    return cgroup;
}

void Cgroup::remove_parents() const noexcept {
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) ::rmdir(path->c_str());
}

void Cgroup::limit() {
    for (const auto& pending : pending_limits_) write_pending(pending, wish_);
    pending_limits_.clear();
}

void Cgroup::hand_over(pid_t pid, const oci::Spec& spec) const {
    const CgroupHost& host = cgroup_host();
    const std::string below = delegated_subgroup(spec, host.layout());
    for (const auto& path : paths_) {
        const CgroupMount* mount = host.of(path);
        if (below.empty() || mount == nullptr || !mount->v2) continue;
        step_down(*mount, path.substr(mount->mount_point.size() + 1), below, pid, cgroup_owner(spec));
    }
}

Cgroup Cgroup::from_paths(std::vector<std::string> paths, std::string unit) {
    Cgroup cgroup;
    for (const auto& path : paths) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount != nullptr && mount->v2) cgroup.v2_ = CgroupDir::open(cgroup_host(), path).take();
    }
    cgroup.paths_ = std::move(paths);
    cgroup.unit_ = std::move(unit);
    return cgroup;
}

void Cgroup::attach(pid_t pid, bool born_in_v2) const {
    constexpr int most_tries = 5;
    const timespec pause{0, 30'000'000};
    for (const auto& path : paths_) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount == nullptr || (mount->v2 && born_in_v2)) continue;
        const auto dir = CgroupDir::open(cgroup_host(), path);
        int err = ENOENT;
        for (int attempt = 1; dir; ++attempt) {
            err = dir.write("cgroup.procs", std::to_string(pid));
            // EINVAL while the task is still new to the scheduler.
            if (err != EINVAL || attempt == most_tries) break;
            ::nanosleep(&pause, nullptr);
        }
        if (err != 0) {
            throw Error(kind_of_errno(err),
                        "move process " + std::to_string(pid) + " to " + path + "/cgroup.procs: " + errno_text(err),
                        err)
                .with_remedy(err == ENOSPC ? "a v1 cpuset without cpus takes no process: set linux.resources.cpu.cpus"
                                           : "the cgroup must be writable and take processes");
        }
    }
    check_pids_of_user();
}

}  // namespace locald::shim
