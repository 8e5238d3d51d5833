#include "backends/linux/host_facts.hpp"

#include <glob.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

std::vector<oci::IdMapping> to_oci(const std::vector<posix::IdMapping>& maps) {
    std::vector<oci::IdMapping> out;
    out.reserve(maps.size());
    for (const auto& map : maps) out.push_back({map.container_id, map.host_id, map.size});
    return out;
}

std::string text_or_nothing(const char* path) {
    const posix::UniqueFd file = posix::open_if_exists(path, O_RDONLY);
    constexpr std::size_t most = 1U << 20U;
    return file ? posix::read_all(file, path, most) : std::string();
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("localhost");
}

std::vector<std::string> existing(const char* pattern) {
    glob_t found{};
    std::vector<std::string> paths;
    if (::glob(pattern, GLOB_NOSORT, nullptr, &found) == 0) {
        paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    ::globfree(&found);
    return paths;
}

}  // namespace

bool is_pure_cgroup_v2() {
    struct statfs fs {};
    return ::statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

std::string cgroups_path_for(const std::string& id) {
    const std::string user = "/locald/user-" + std::to_string(::getuid());
    std::string path = user + "/" + id + "/c";
    if (::geteuid() == 0) return path;
    // An ordinary user has a place only where root made one for him.
    for (std::string place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        if (::access(place.append(user).c_str(), W_OK) == 0) return path;
    }
    return {};
}

bundle::HostFacts read_host_facts(const std::string& id, const std::optional<posix::IdMaps>& maps,
                                  const std::string& shim) {
    bundle::HostFacts facts;
    if (maps) {
        facts.uid_mappings = to_oci(maps->uids);
        facts.gid_mappings = to_oci(maps->gids);
        facts.full_map = maps->full;
        facts.more_ids = maps->remedy;
    }
    facts.cgroup_v2 = is_pure_cgroup_v2();
    facts.cgroups_path = cgroups_path_for(id);
    // The host's network is the container's by default, so its resolver, a stub on loopback included, is the right one.
    facts.resolv_conf = text_or_nothing("/etc/resolv.conf");
    facts.hosts = text_or_nothing("/etc/hosts");
    facts.hostname = host_name();
    facts.user_name = posix::user_name(::getuid());
    facts.init_program = shim;
    facts.masked_globs = existing("/sys/devices/system/cpu/cpu*/thermal_throttle");
    return facts;
}

}  // namespace locald::backends
