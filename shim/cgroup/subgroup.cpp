#include "shim/cgroup/subgroup.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/maker.hpp"
#include "shim/cgroup/owner.hpp"

namespace locald::shim {

namespace {

std::string place_of(const oci::Spec& spec, const std::string& key) {
    const auto found = spec.annotations.find(key);
    if (found == spec.annotations.end()) return {};
    const std::string& path = found->second;
    constexpr std::size_t longest_name = 255;
    bool good = path.find('\0') == std::string::npos && path.find('\n') == std::string::npos;
    std::string clean;
    for (const auto& name : path_components(path)) {
        good = good && name != "." && name != ".." && name.size() <= longest_name;
        clean += (clean.empty() ? "" : "/") + name;
    }
    if (!good) {
        throw Error(ErrorKind::invalid,
                    "annotation " + key + ": expected a path below the container's cgroup, got " + json_quote(path));
    }
    return clean;
}

}  // namespace

std::string systemd_subgroup(const oci::Spec& spec) { return place_of(spec, "run.oci.systemd.subgroup"); }

std::string delegated_subgroup(const oci::Spec& spec, CgroupLayout layout) {
    std::string place = place_of(spec, "run.oci.delegate-cgroup");
    if (!place.empty() && layout != CgroupLayout::v2 && layout != CgroupLayout::none) {
        throw Error(ErrorKind::unsupported, "annotation run.oci.delegate-cgroup: not supported on cgroup v1")
            .with_remedy("only cgroup v2 is safe to hand to a container: leave it out, or boot the host with v2 alone");
    }
    return place;
}

void step_down(const CgroupMount& mount, const std::string& top, const std::string& below, pid_t pid,
               std::optional<uid_t> owner) {
    CgroupMaker maker(mount);
    const CgroupHost host{{mount}};
    std::string place = top;
    for (const auto& name : path_components(below)) {
        const CgroupDir dir = maker.make(place += "/" + name);
        if (owner) delegate(dir, *owner);
    }
    const auto dir = CgroupDir::open(host, mount.mount_point + "/" + place);
    if (const int err = dir.write("cgroup.procs", std::to_string(pid)); err != 0) {
        throw_errno(err, "move process ", std::to_string(pid), " to ", dir.path(), "/cgroup.procs");
    }
    const auto above = CgroupDir::open(host, mount.mount_point + "/" + top);
    const std::string controllers = above.read("cgroup.controllers").value_or("");
    for (const auto name : split(trim(controllers), ' ')) maker.need(std::string(name));
    maker.hand_on_to(place);
}

}  // namespace locald::shim
