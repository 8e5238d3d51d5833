#include "shim/cgroup/systemd_cgroup.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/dir.hpp"
#include "shim/cgroup/owner.hpp"
#include "shim/cgroup/subgroup.hpp"
#include "shim/cgroup/systemd/manager.hpp"

namespace locald::shim {

namespace {

SystemdScope scope_of(const oci::Spec& spec, const std::string& id) {
    return parse_systemd_scope(spec.linux_ ? spec.linux_->cgroups_path : "", id, uses_system_manager());
}

/// Where a process is in the hierarchy that systemd itself lives in: v2, else v1's name=systemd.
std::string place_of(const std::string& process) {
    const CgroupHost host =
        parse_cgroup_host(posix::read_file("/proc/self/mountinfo"), posix::read_file("/proc/" + process + "/cgroup"));
    if (const auto* v2 = host.v2()) return v2->own;
    const auto* own = host.v1("name=systemd");
    return own != nullptr ? own->own : std::string();
}

std::string below(const std::string& place, const std::string& subgroup) {
    return subgroup.empty() ? place : place + "/" + subgroup;
}

std::vector<std::string> paths_at(const CgroupHost& host, const std::string& relative, const CgroupWish& wish) {
    std::vector<std::string> paths;
    auto mounts = hierarchies_for(host, wish.v1_controllers());
    // Without v2 it is how systemd knows a unit's processes, those of `exec` too.
    const CgroupMount* tracking = host.v2() == nullptr ? host.v1("name=systemd") : nullptr;
    if (tracking != nullptr) mounts.push_back(tracking);
    for (const CgroupMount* mount : mounts) {
        // A user's manager has nothing to say in v1.
        if (!mount->v2 && !CgroupDir::root_of(*mount).writable("cgroup.procs")) continue;
        paths.push_back(mount->mount_point + "/" + relative);
    }
    return paths;
}

std::string proc_devices() {
    try {
        return posix::read_file("/proc/devices");
    } catch (const Error&) {
        return {};
    }
}

UnitProperties all_properties(const oci::Spec& spec, const CgroupWish& wish, CgroupLayout layout) {
    UnitProperties list;
    for (const char* name : {"MemoryAccounting", "CPUAccounting", "TasksAccounting",
                             layout == CgroupLayout::v2 ? "IOAccounting" : "BlockIOAccounting"}) {
        list.emplace_back(name, DbusValue::boolean(true));
    }
    const auto add = [&](const UnitProperties& more) { list.insert(list.end(), more.begin(), more.end()); };
    add(unit_properties(resources_of(spec), layout));
    // A user's manager may not filter devices.
    if (uses_system_manager()) add(device_properties(wish.devices, proc_devices()));
    add(annotation_properties(spec.annotations));
    return list;
}

}  // namespace

bool uses_system_manager() { return is_host_root(); }

std::string manager_place(bool system, const std::string& own, uid_t uid) {
    if (system) {
        constexpr std::string_view init = "init.scope";
        if (!own.ends_with(init)) return own;
        const std::string above = own.substr(0, own.size() - init.size());
        return above.ends_with('/') ? above.substr(0, above.size() - 1) : above;
    }
    const std::string manager = "user@" + std::to_string(uid) + ".service";
    const auto at = own.find(manager);
    if (at != std::string::npos) return own.substr(0, at + manager.size());
    return "user.slice/user-" + std::to_string(uid) + ".slice/" + manager;
}

std::vector<std::string> Cgroup::plan_scope(const oci::Spec& spec, const std::string& id, std::string& unit) {
    const CgroupHost& host = cgroup_host();
    const bool system = uses_system_manager();
    const SystemdScope scope = scope_of(spec, id);
    unit = scope.unit;
    const std::string manager = manager_place(system, place_of(system ? "1" : "self"), ::geteuid());
    const std::string relative = (manager.empty() ? "" : manager + "/") + scope.directory;
    return paths_at(host, below(relative, systemd_subgroup(spec)), wish_of(host, resources_of(spec)));
}

Cgroup Cgroup::create_scope(const oci::Spec& spec, const std::string& id, const std::vector<std::string>& planned) {
    const CgroupHost& host = cgroup_host();
    auto pending = std::make_shared<PendingScope>();
    pending->scope = scope_of(spec, id);
    pending->wish = wish_of(host, resources_of(spec));
    check_homes(host, spec, pending->wish, planned);
    pending->properties = all_properties(spec, pending->wish, host.layout());
    pending->subgroup = systemd_subgroup(spec);
    if (host.layout() == CgroupLayout::v2) pending->owner = cgroup_owner(spec);
    Cgroup cgroup;
    cgroup.warnings_ = pending->wish.warnings;
    cgroup.paths_ = planned;
    cgroup.unit_ = pending->scope.unit;
    cgroup.pending_ = std::move(pending);
    return cgroup;
}

bool Cgroup::start_scope(pid_t pid) {
    if (!pending_) return false;
    const auto pending = std::move(pending_);
    const CgroupHost& host = cgroup_host();
    SystemdManager manager = SystemdManager::connect(uses_system_manager());
    try {
        manager.start(pending->scope, pid, pending->properties);
    } catch (const Error& e) {
        // Another's: what we planned is not ours to stop or remove.
        if (e.kind() == ErrorKind::exists) {
            unit_.clear();
            paths_.clear();
        }
        throw;
    }
    std::vector<std::string> made;
    try {
        if (!pending->scope.is_slice()) {
            // systemd's word counts, not our expectation.
            const std::string place = place_of(std::to_string(pid));
            paths_ = paths_at(host, below(place, pending->subgroup), pending->wish);
            // Before the files are written: controllers are handed on only where nobody is.
            if (!pending->subgroup.empty() && host.v2() != nullptr) {
                step_down(*host.v2(), place, pending->subgroup, pid);
            }
        }
        // What a unit cannot say goes into the files.
        for (const auto& path : paths_) {
            const CgroupMount* mount = host.of(path);
            const std::string relative = path.substr(mount->mount_point.size() + 1);
            std::vector<PendingLimits> limits;
            CgroupDir dir = make_cgroup(*mount, relative, pending->wish, made, limits);
            for (const auto& each : limits) write_pending(each, pending->wish);
            if (!mount->v2) continue;
            if (const auto& owner = pending->owner) delegate(dir, *owner);
            v2_ = dir.take();
        }
        attach(pid, !pending->scope.is_slice());
    } catch (...) {
        for (auto path = made.rbegin(); path != made.rend(); ++path) ::rmdir(path->c_str());
        throw;  // the unit goes with remove()
    }
    return true;
}

void Cgroup::stop_unit() const {
    if (unit_.empty()) return;
    try {
        SystemdManager::connect(uses_system_manager()).stop(unit_);
    } catch (const Error& e) {
        // Without its manager only directories are left of it.
        if (e.kind() != ErrorKind::unavailable && e.kind() != ErrorKind::lost) throw;
    }
}

void Cgroup::update_unit(const oci::Resources& change) const {
    if (unit_.empty()) return;
    const CgroupHost& host = cgroup_host();
    UnitProperties list = unit_properties(change, host.layout());
    if (!change.devices.empty() && uses_system_manager()) {
        const auto devices = device_properties(wish_of(host, change).devices, proc_devices());
        list.insert(list.end(), devices.begin(), devices.end());
    }
    SystemdManager::connect(uses_system_manager()).set_properties(unit_, list);
}

}  // namespace locald::shim
