#include "shim/cgroup/wish.hpp"

#include <cerrno>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "shim/base/capabilities.hpp"
#include "shim/cgroup/devices.hpp"
#include "shim/cgroup/maker.hpp"

namespace locald::shim {

namespace {

std::string v1_name(const std::string& v2_controller) { return v2_controller == "io" ? "blkio" : v2_controller; }

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
    const bool missing = err == ENOENT;
    // Not the kernel's words then: podman reads them in any error of a runtime as "the container's program is missing".
    std::string text =
        limit.field + ": write " + value + " to " + file + ": " + (missing ? "the file is not there" : errno_text(err));
    if (!refused.empty()) text += " (" + refused + ")";
    throw Error(missing ? ErrorKind::unsupported : kind_of_errno(err), text, err)
        .with_remedy(missing ? "the controller " + json_quote(limit.controller) +
                                   " is not available there: enable it in this kernel and in cgroup.subtree_control "
                                   "of every directory above, or leave the limit out"
                             : "check the value against the kernel's documentation of the file, or leave it out");
}

[[noreturn]] void throw_devices(const std::string& what, int err) {
    throw Error(kind_of_errno(err), "linux.resources.devices: " + what + ": " + errno_text(err), err)
        .with_remedy(
            "the device rules need CONFIG_CGROUP_BPF or the v1 devices controller, or a container with a user "
            "namespace and no rules");
}

}  // namespace

const oci::Resources& resources_of(const oci::Spec& spec) {
    static const oci::Resources none;
    return spec.linux_ && spec.linux_->resources ? *spec.linux_->resources : none;
}

std::vector<std::string> CgroupWish::v1_controllers() const {
    std::vector<std::string> names;
    names.reserve(v1.size() + 1);
    for (const auto& limit : v1) names.push_back(limit.controller);
    if (!devices.empty() && !devices_by_program) names.emplace_back("devices");
    return names;
}

CgroupWish wish_of(const CgroupHost& host, const oci::Resources& resources) {
    CgroupWish wish;
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
        // Asked only where there is a choice: the kernel answers under a lock that every dying cgroup holds for a
        // while.
        wish.devices_by_program =
            host.v1("devices") == nullptr || can_filter_devices(CgroupDir::root_of(*host.v2()).fd());
    }
    return wish;
}

bool is_host_root() {
    constexpr std::uint64_t cap_sys_admin = std::uint64_t{1} << 21U;
    if (grantable_capabilities(cap_sys_admin) == 0) return false;
    // The first user namespace maps everything onto itself.
    const std::string map = posix::read_file("/proc/self/uid_map");
    const auto words = split(map, ' ');
    return !words.empty() && trim(words.back()) == "4294967295";
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

void apply_devices(const CgroupDir& dir, const CgroupMount& mount, const CgroupWish& wish) {
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

void write_pending(const PendingLimits& pending, const CgroupWish& wish) {
    write_limits(pending.dir, wish.v2, *pending.mount, false, pending.refused);
    apply_devices(pending.dir, *pending.mount, wish);
}

CgroupDir make_cgroup(const CgroupMount& mount, const std::string& relative, const CgroupWish& wish,
                      std::vector<std::string>& made, std::vector<PendingLimits>& pending) {
    const auto& limits = wish.of(mount);
    CgroupMaker maker(mount, &made);
    if (mount.v2) {
        for (const auto& limit : limits) maker.need(limit.controller);
    }
    const std::string limits_at = limits_place(relative);
    CgroupDir dir = maker.make(limits_at);
    if (mount.v2) {
        settle_type(dir, limits);
        if (!limits.empty() || !wish.devices.empty()) pending.push_back({dir.share(), &mount, maker.refused()});
    } else {
        // Limits come before the directory of the processes: v1 devices refuses a wholesale rule once there is a child,
        // and a v1 cpuset may not shrink below one.
        write_limits(dir, limits, mount, false, maker.refused());
        apply_devices(dir, mount, wish);
    }
    if (limits_at != relative) {
        dir = maker.make_child(dir, relative.substr(limits_at.size() + 1));
        if (mount.v2) settle_type(dir, limits);
    }
    if (!mount.v2) write_limits(dir, limits, mount, true, maker.refused());
    return dir;
}

}  // namespace locald::shim
