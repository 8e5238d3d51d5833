// /proc/self/mountinfo and /proc/self/cgroup as a hostile mount name would have them, and linux.cgroupsPath: what comes
// out never leaves the tree it is joined to.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "shim/cgroup_layout.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

/// The input is cut at its first NUL: mountinfo, then cgroup; the first part also serves as a cgroupsPath.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace locald::shim;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto cut = text.find('\0');
    const auto first = text.substr(0, cut);
    const auto second = cut == std::string_view::npos ? std::string_view() : text.substr(cut + 1);
    const CgroupHost host = parse_cgroup_host(first, second);
    for (const auto& mount : host.mounts) {
        need(mount.mount_point.starts_with('/') && mount.v2 == mount.controllers.empty());
        need(!mount.own.starts_with('/'));
        need(host.of(mount.mount_point + "/x") != nullptr);
    }
    try {
        const std::string path = clean_cgroups_path(std::string(first));
        need(path.find("//") == std::string::npos && !path.ends_with('/'));
        need(("/" + path + "/").find("/../") == std::string::npos);
        for (const auto& mount : host.mounts) {
            const std::string place = place_in(mount, path, "id");
            need(!place.empty() && !place.starts_with('/') && place.starts_with(limits_place(place)));
        }
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
    }
    return 0;
}
