#include "shim/cgroup.hpp"

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
#include "shim/capabilities.hpp"
#include "shim/cgroup_devices.hpp"
#include "shim/cgroup_dir.hpp"
#include "shim/cgroup_limits.hpp"
#include "shim/cgroup_maker.hpp"

namespace locald::shim {

namespace {

/// What a config wants of the cgroups of this host.
struct Wish {
    std::vector<CgroupLimit> v1, v2;
    std::vector<oci::DeviceRule> devices;
    bool devices_by_program = false;
    std::vector<std::string> warnings;

    /// The v1 controllers that must be joined for it.
    std::vector<std::string> v1_controllers() const {
        std::vector<std::string> names;
        names.reserve(v1.size() + 1);
        for (const auto& limit : v1) names.push_back(limit.controller);
        if (!devices.empty() && !devices_by_program) names.emplace_back("devices");
        return names;
    }
};

std::string v1_name(const std::string& v2_controller) { return v2_controller == "io" ? "blkio" : v2_controller; }

/// Each limit in the form of the hierarchy that owns its controller here; without any, in the form of v2.
Wish wish_of(const CgroupHost& host, const oci::Spec& spec) {
    Wish wish;
    if (!spec.linux_ || !spec.linux_->resources) return wish;
    const oci::Resources& resources = *spec.linux_->resources;
    std::vector<std::string> v2_warnings;
    for (auto& limit : v2_limits(resources, v2_warnings)) {
        if (host.v1(v1_name(limit.controller)) == nullptr) {
            wish.v2.push_back(std::move(limit));
        } else if (limit.field.starts_with("linux.resources.unified.")) {
            throw Error(ErrorKind::unsupported,
                        limit.field + ": the controller " + json_quote(limit.controller) + " is on cgroup v1 here")
                .with_remedy("unified is for cgroup v2; use the field of linux.resources that means the same");
        }
    }
    for (auto& limit : v1_limits(resources, wish.warnings)) {
        if (host.v1(limit.controller) != nullptr) wish.v1.push_back(std::move(limit));
    }
    if (host.v1("memory") == nullptr) {
        wish.warnings.insert(wish.warnings.end(), v2_warnings.begin(), v2_warnings.end());
    }
    wish.devices = effective_device_rules(resources.devices);
    if (!wish.devices.empty() && host.v2() != nullptr) {
        const auto root = CgroupDir::root_of(*host.v2());
        wish.devices_by_program = root && (can_filter_devices(root.fd()) || host.v1("devices") == nullptr);
    }
    return wish;
}

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

/// A place in a subtree that an ordinary user was given: beside our own cgroup, where controllers can be handed on,
/// else below it.
std::optional<std::string> delegated_place(const CgroupMount& mount, const std::string& id) {
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

/// Full rights over the host: what the kernel refuses to such a process is worth an error.
bool is_host_root() {
    constexpr int cap_sys_admin = 21;
    if (((grantable_capabilities() >> cap_sys_admin) & 1U) == 0) return false;
    // The first user namespace maps everything onto itself.
    const std::string map = posix::read_file("/proc/self/uid_map");
    const auto words = split(map, ' ');
    return !words.empty() && trim(words.back()) == "4294967295";
}

/// One write, by the name the limit's file has here. 0 or errno; `file` says which was tried.
int try_limit(const CgroupDir& dir, const CgroupLimit& limit, std::string& file, std::string& value) {
    file = limit.file;
    value = limit.value;
    if (!limit.other_file.empty() && !dir.has(limit.file)) {
        file = limit.other_file;
        value = limit.other_value;
    }
    const int err = dir.write(file, value);
    return err == ENOENT && limit.skip_if_missing ? 0 : err;
}

[[noreturn]] void throw_limit(const CgroupLimit& limit, const std::string& file, const std::string& value, int err,
                              const std::string& refused) {
    std::string text = limit.field + ": write " + value + " to " + file + ": " + errno_text(err);
    if (!refused.empty()) text += " (" + refused + ")";
    const bool missing = err == ENOENT;
    throw Error(missing ? ErrorKind::unsupported : kind_of_errno(err), text, err)
        .with_remedy(missing ? "the controller " + json_quote(limit.controller) +
                                   " is not available there: enable it in this kernel and in cgroup.subtree_control "
                                   "of every directory above, or leave the limit out"
                             : "check the value against the kernel's documentation of the file, or leave it out");
}

void write_limits(const CgroupDir& dir, const std::vector<CgroupLimit>& limits, const CgroupMount& mount,
                  bool at_processes, const std::string& refused) {
    std::vector<const CgroupLimit*> again;
    std::string file, value;
    for (const auto& limit : limits) {
        if (limit.at_processes != at_processes || (!mount.v2 && !mount.has(limit.controller))) continue;
        const int err = try_limit(dir, limit, file, value);
        if ((err == EINVAL || err == EBUSY) && limit.again_if_refused) {
            again.push_back(&limit);
        } else if (err != 0) {
            throw_limit(limit, dir.path() + "/" + file, value, err, refused);
        }
    }
    for (const CgroupLimit* limit : again) {
        const int err = try_limit(dir, *limit, file, value);
        if (err != 0) throw_limit(*limit, dir.path() + "/" + file, value, err, refused);
    }
}

[[noreturn]] void throw_devices(const std::string& what, int err) {
    throw Error(kind_of_errno(err), "linux.resources.devices: " + what + ": " + errno_text(err), err)
        .with_remedy(
            "the device rules need CONFIG_CGROUP_BPF or the v1 devices controller, or a container with a user "
            "namespace and no rules");
}

void apply_devices(const CgroupDir& dir, const CgroupMount& mount, const Wish& wish) {
    if (wish.devices.empty()) return;
    if (mount.v2 && wish.devices_by_program) {
        const int err = attach_device_program(dir.fd(), device_program(wish.devices));
        // Who is not root of the host may not load programs; he cannot open devices by mknod either.
        if (err != 0 && is_host_root()) throw_devices("attach the device program to " + dir.path(), err);
    } else if (!mount.v2 && mount.has("devices") && !wish.devices_by_program) {
        for (const auto& [file, line] : v1_device_lines(wish.devices)) {
            const int err = dir.write(file, line);
            if (err == 0) continue;
            if (!is_host_root()) return;
            std::string what = "write " + line + " to ";
            throw_devices(what.append(dir.path()).append("/").append(file), err);
        }
    }
}

/// cgroup v2 below a threaded parent: a new directory is unusable until it is threaded as well.
void settle_type(const CgroupDir& dir, const std::vector<CgroupLimit>& limits) {
    if (trim(dir.read("cgroup.type").value_or("")) != "domain invalid") return;
    for (const auto& limit : limits) {
        for (const char* controller : {"memory", "io", "cpu", "hugetlb"}) {
            if (limit.controller == controller) {
                throw Error(ErrorKind::unsupported, "cannot enter cgroupv2 " + json_quote(dir.path()) +
                                                        " with domain controllers -- it is in an invalid state")
                    .with_remedy("its parent is threaded: leave " + limit.field + " out, or use another parent");
            }
        }
    }
    if (const int err = dir.write("cgroup.type", "threaded"); err != 0) {
        throw_errno(err, "write threaded to ", dir.path(), "/cgroup.type");
    }
}

/// Makes and fills the directories of one hierarchy; returns the one for the processes.
CgroupDir make_one(const CgroupMount& mount, const std::string& relative, const Wish& wish,
                   std::vector<std::string>& made) {
    const auto& limits = mount.v2 ? wish.v2 : wish.v1;
    CgroupMaker maker(mount, made);
    if (mount.v2) {
        for (const auto& limit : limits) maker.need(limit.controller);
    }
    const std::string limits_at = limits_place(relative);
    CgroupDir dir = maker.make(limits_at);
    if (mount.v2) settle_type(dir, limits);
    // Limits come before the directory of the processes: v1 devices refuses a wholesale rule once there is a child, and
    // a v1 cpuset may not shrink below one.
    write_limits(dir, limits, mount, false, maker.refused());
    apply_devices(dir, mount, wish);
    if (limits_at != relative) {
        dir = maker.make_child(dir, relative.substr(limits_at.size() + 1));
        if (mount.v2) settle_type(dir, limits);
    }
    write_limits(dir, limits, mount, true, maker.refused());
    return dir;
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

/// A limit whose hierarchy we may not use, or that no hierarchy owns.
void check_homes(const CgroupHost& host, const oci::Spec& spec, const Wish& wish,
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

}  // namespace

std::vector<std::string> Cgroup::plan(const oci::Spec& spec, const std::string& id) {
    const CgroupHost& host = cgroup_host();
    const std::string path = spec.linux_ ? clean_cgroups_path(spec.linux_->cgroups_path) : "";
    std::vector<std::string> planned;
    for (const CgroupMount* mount : hierarchies_for(host, wish_of(host, spec).v1_controllers())) {
        std::string place = place_in(*mount, path, id);
        check_free(host, *mount, place);
        const auto dir = deepest_existing(*mount, place);
        if (!dir) continue;
        if (!dir.writable("cgroup.procs")) {
            const auto given = mount->v2 ? delegated_place(*mount, id) : std::nullopt;
            if (!given) continue;
            place = *given;
            check_free(host, *mount, place);
        }
        planned.push_back(mount->mount_point + "/" + place);
    }
    return planned;
}

Cgroup Cgroup::create(const oci::Spec& spec, const std::vector<std::string>& planned) {
    const CgroupHost& host = cgroup_host();
    Wish wish = wish_of(host, spec);
    check_homes(host, spec, wish, planned);
    Cgroup cgroup;
    cgroup.warnings_ = std::move(wish.warnings);
    if (planned.empty()) {
        cgroup.warnings_.push_back(
            "the container has no cgroup of its own: " + why_nowhere(host, spec) +
            (wish.devices.empty() || !is_host_root() ? "" : "; its device rules have no effect"));
        return cgroup;
    }
    std::vector<std::string> made;
    try {
        for (const auto& path : planned) {
            const CgroupMount* mount = host.of(path);
            if (mount == nullptr) throw Error(ErrorKind::not_found, "use " + path + ": it is in no cgroup hierarchy");
            const std::string relative = path.substr(mount->mount_point.size() + 1);
            check_free(host, *mount, relative);
            CgroupDir dir = make_one(*mount, relative, wish, made);
            if (mount->v2) cgroup.v2_ = dir.take();
            cgroup.paths_.push_back(path);
        }
    } catch (...) {
        // Deepest last, so backwards; what another container already uses refuses to go.
        for (auto path = made.rbegin(); path != made.rend(); ++path) ::rmdir(path->c_str());
        throw;
    }
    return cgroup;
}

Cgroup Cgroup::from_paths(std::vector<std::string> paths) {
    Cgroup cgroup;
    for (const auto& path : paths) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount != nullptr && mount->v2) cgroup.v2_ = CgroupDir::open(cgroup_host(), path).take();
    }
    cgroup.paths_ = std::move(paths);
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
}

}  // namespace locald::shim
