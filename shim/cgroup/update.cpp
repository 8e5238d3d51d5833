#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/devices.hpp"
#include "shim/cgroup/maker.hpp"
#include "shim/cgroup/places.hpp"
#include "shim/cgroup/stats_read.hpp"
#include "shim/cgroup/wish.hpp"

namespace locald::shim {

namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

std::int64_t as_limit(std::uint64_t value) { return value == no_limit ? -1 : static_cast<std::int64_t>(value); }

/// cpu.max holds quota and period in one line: the half that is not asked for keeps its value.
void complete_cpu(const CgroupDir& dir, oci::CpuResources& cpu) {
    const bool quota = cpu.quota.value_or(0) != 0;
    const bool period = cpu.period.value_or(0) != 0;
    const auto text = dir.read("cpu.max");
    if (quota == period || !text) return;
    const auto words = split(trim(*text), ' ');
    if (words.size() != 2) return;
    if (!quota) cpu.quota = words[0] == "max" ? -1 : static_cast<std::int64_t>(parse_u64(words[0]).value_or(0));
    if (!period) cpu.period = parse_u64(words[1]).value_or(0);
}

/// memory.swap is memory and swap together: on v2, where swap has a file of its own, each of the two needs the other.
void complete_memory(const CgroupDir& dir, oci::MemoryResources& memory) {
    const std::int64_t limit = memory.limit.value_or(0);
    const std::int64_t swap = memory.swap.value_or(0);
    if (limit == 0 && swap != 0) {
        memory.limit = as_limit(read_number(dir, "memory.max"));
    } else if (limit > 0 && swap == 0 && dir.has("memory.swap.max")) {
        const auto old_limit = read_number(dir, "memory.max");
        const auto old_swap = read_number(dir, "memory.swap.max");
        if (old_limit != no_limit && old_swap != no_limit) {
            memory.swap = static_cast<std::int64_t>(old_limit + old_swap);
        }
    }
}

void check_usage(const CgroupDir& dir, const char* file, const oci::MemoryResources& memory) {
    const std::int64_t limit = memory.limit.value_or(0);
    if (!memory.check_before_update.value_or(false) || limit <= 0) return;
    const auto usage = read_number(dir, file);
    if (usage <= static_cast<std::uint64_t>(limit)) return;
    throw Error(ErrorKind::denied, "linux.resources.memory.limit: " + std::to_string(limit) +
                                       " is below the current usage, " + std::to_string(usage) + " (" + dir.path() +
                                       "/" + file + ")")
        .with_remedy("give a higher limit, or leave memory.checkBeforeUpdate out: then the kernel reclaims and kills");
}

/// The whole of what is to hold where the change says only half of it.
oci::Resources completed(const std::vector<CgroupPlace>& places, const oci::Resources& change) {
    oci::Resources resources = change;
    for (const auto& place : places) {
        if (place.mount->v2 && resources.cpu) complete_cpu(place.dir, *resources.cpu);
        if (!resources.memory) continue;
        if (place.mount->v2 && place.dir.has("memory.max")) {
            complete_memory(place.dir, *resources.memory);
            check_usage(place.dir, "memory.current", *resources.memory);
        } else if (!place.mount->v2 && place.mount->has("memory")) {
            check_usage(place.dir, "memory.usage_in_bytes", *resources.memory);
        }
    }
    return resources;
}

/// A v1 cpuset and the directory of the processes below it: the inner one must never hold more than the outer one,
/// whichever way the change goes.
void update_cpuset(const CgroupDir& outer, const CgroupDir& inner, const std::vector<CgroupLimit>& limits) {
    for (const auto& limit : limits) {
        if (limit.controller != "cpuset") continue;
        inner.write(limit.file, limit.value);
        outer.write(limit.file, limit.value);
        inner.write(limit.file, limit.value);
    }
}

void update_devices(const CgroupPlace& place, const CgroupWish& wish, std::vector<std::string>& warnings) {
    if (wish.devices.empty()) return;
    if (place.mount->v2 && wish.devices_by_program) {
        int error = 0;
        if (replace_device_program(place.dir.fd(), device_program(wish.devices), error) == Replaced::not_ours) {
            warnings.push_back("linux.resources.devices: " + place.dir.path() +
                               " has no device program of ours any more; what is there stays");
        }
        if (error != 0) throw_errno(error, "linux.resources.devices: replace the program of ", place.dir.path());
    } else if (!place.mount->v2 && place.mount->has("devices") && !wish.devices_by_program) {
        const auto inner =
            place.processes == place.dir.path() ? CgroupDir() : CgroupDir::open(cgroup_host(), place.processes);
        for (const auto& [file, line] : v1_device_changes(place.dir.read("devices.list").value_or(""), wish.devices)) {
            int err = place.dir.write(file, line);
            // What is denied is denied below as well; what is allowed is not.
            if (err == 0 && inner && file == "devices.allow") err = inner.write(file, line);
            if (err != 0)
                throw_errno(err, "linux.resources.devices: write ", line, " to ", place.dir.path(), "/", file);
        }
    }
}

void update_place(const CgroupPlace& place, const CgroupWish& wish) {
    const auto& limits = wish.of(*place.mount);
    CgroupMaker maker(*place.mount);
    const std::string relative = place.dir.path().substr(place.mount->mount_point.size() + 1);
    if (place.mount->v2) {
        for (const auto& limit : limits) maker.need(limit.controller);
        maker.hand_on_to(relative);
    }
    if (place.processes == place.dir.path()) {
        write_limits(place.dir, limits, *place.mount, false, maker.refused());
        write_limits(place.dir, limits, *place.mount, true, maker.refused());
        return;
    }
    const auto inner = CgroupDir::open(cgroup_host(), place.processes);
    if (inner && place.mount->has("cpuset")) update_cpuset(place.dir, inner, limits);
    write_limits(place.dir, limits, *place.mount, false, maker.refused());
    if (inner) write_limits(inner, limits, *place.mount, true, maker.refused());
}

/// Every process of `from` into `to`; those that are made meanwhile by one not moved yet come in the next round.
void move_all(const CgroupPlace& from, const CgroupDir& to) {
    constexpr int most_rounds = 100;
    std::set<pid_t> moved;
    for (int round = 0; round < most_rounds; ++round) {
        bool any = false;
        for (const pid_t pid : from.dir.all_processes()) {
            if (!moved.insert(pid).second) continue;
            any = true;
            const int err = to.write("cgroup.procs", std::to_string(pid));
            if (err != 0 && err != ESRCH) throw_errno(err, "move process ", std::to_string(pid), " to ", to.path());
        }
        if (!any) return;
    }
}

}  // namespace

void Cgroup::update(const oci::Resources& change, const WillMake& will_make) {
    const CgroupHost& host = cgroup_host();
    const auto places = places_of(paths_);
    if (places.empty()) {
        throw Error(ErrorKind::unsupported, "the container has no cgroup whose limits could be changed")
            .with_remedy(remedy_for_cgroup_rights);
    }
    const oci::Resources resources = completed(places, change);
    const CgroupWish wish = wish_of(host, resources);
    for (const auto& limit : wish.v2) {
        const bool have = std::any_of(places.begin(), places.end(), [](const auto& place) { return place.mount->v2; });
        if (!have && !limit.skip_if_missing) {
            throw Error(ErrorKind::unsupported, limit.field + ": cannot write " + limit.value + " to " + limit.file +
                                                    ": no cgroup hierarchy for it is mounted")
                .with_remedy("leave it out");
        }
    }
    update_unit(resources);
    for (const auto& place : places) {
        update_place(place, wish);
        update_devices(place, wish, warnings_);
    }
    // A v1 hierarchy that was not needed until now: the same place in it, and everybody moves in.
    const CgroupPlace& first = places.front();
    const std::string relative = first.processes.substr(first.mount->mount_point.size() + 1);
    for (const auto& controller : wish.v1_controllers()) {
        const CgroupMount* mount = host.v1(controller);
        const bool joined = mount == nullptr || std::any_of(paths_.begin(), paths_.end(),
                                                            [&](const auto& path) { return host.of(path) == mount; });
        if (joined) continue;
        const std::string path = mount->mount_point + "/" + relative;
        if (will_make && ::access(path.c_str(), F_OK) != 0) {
            auto planned = paths_;
            planned.push_back(path);
            will_make(planned);
        }
        std::vector<std::string> made;
        try {
            std::vector<PendingLimits> none;  // v1 leaves nothing for later
            const CgroupDir dir = make_cgroup(*mount, relative, wish, made, none);
            paths_.push_back(dir.path());
            move_all(first, dir);
        } catch (...) {
            for (auto each = made.rbegin(); each != made.rend(); ++each) ::rmdir(each->c_str());
            throw;
        }
    }
}

}  // namespace locald::shim
