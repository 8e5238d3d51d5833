// /proc/self/mountinfo and /proc/self/cgroup as a hostile mount name would have them, and linux.cgroupsPath: what comes
// out never leaves the tree it is joined to.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/mounts/mount_table.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

/// The input is cut at its NULs: mountinfo, cgroup, a cgroupsPath, and the controllers that are asked for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace locald::shim;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    auto parts = locald::split(text, '\0');
    if (parts.size() < 3) parts.resize(3);
    const CgroupHost host = parse_cgroup_host(parts[0], parts[1]);
    const auto table = parse_mount_table(parts[0]);
    for (const auto& entry : table) {
        need(entry.place.starts_with('/') && is_on_mount(table, entry.id, entry.id));
        static_cast<void>(is_on_mount(table, entry.id, entry.parent));
    }
    const bool none = host.mounts.empty() || host.layout() == CgroupLayout::none;
    need(!none || host.v2() == nullptr);
    const auto joined = hierarchies_for(host, std::vector<std::string>(parts.begin() + 3, parts.end()));
    for (std::size_t i = 0; i < joined.size(); ++i) need(joined[i] != nullptr && (i == 0 || !joined[i]->v2));
    for (const auto& mount : host.mounts) {
        need(mount.mount_point.starts_with('/') && mount.v2 == mount.controllers.empty());
        need(!mount.own.starts_with('/'));
        need(host.of(mount.mount_point + "/x") != nullptr);
    }
    try {
        const std::string path = clean_cgroups_path(std::string(parts[2]));
        need(path.find("//") == std::string::npos && !path.ends_with('/'));
        need(("/" + path + "/").find("/../") == std::string::npos);
        for (const auto& mount : host.mounts) {
            const std::string place = place_in(mount, path, "id");
            need(!place.empty() && !place.starts_with('/') && place.starts_with(limits_place(place)));
            need(!limits_place(place).empty());
        }
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
    }
    return 0;
}
