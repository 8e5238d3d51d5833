#include "shim/mounts/idmapped.hpp"

#include <sys/mount.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/mounts/mount_api.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::size_t most_map_lines = 340;  // user_namespaces(7)

struct FileSystem {
    long magic;
    const char* name;
    const char* since;  ///< the first Linux that maps its ids; null: none does
};
// The file systems' FS_ALLOW_IDMAP flags through the kernel's history.
constexpr std::array file_systems{
    FileSystem{0x58465342, "xfs", "5.12"},       FileSystem{0xEF53, "ext4", "5.12"},
    FileSystem{0x4d44, "vfat", "5.12"},          FileSystem{0x9123683E, "btrfs", "5.15"},
    FileSystem{0x7366746e, "ntfs3", "5.15"},     FileSystem{0xF2F52010, "f2fs", "5.18"},
    FileSystem{0xE0F5E1E2, "erofs", "5.19"},     FileSystem{0x73717368, "squashfs", "6.2"},
    FileSystem{0x01021994, "tmpfs", "6.3"},      FileSystem{0x00c36400, "ceph", "6.7"},
    FileSystem{0x6A656A63, "virtiofs", nullptr}, FileSystem{0x794c7630, "overlay", nullptr},
    FileSystem{0x9fa0, "proc", nullptr},         FileSystem{0x62656572, "sysfs", nullptr},
    FileSystem{0x6969, "nfs", nullptr},          FileSystem{0x01021997, "9p", nullptr},
    FileSystem{0xFF534D42, "cifs", nullptr},     FileSystem{0x65735546, "fuse", nullptr},
    FileSystem{0x63677270, "cgroup2", nullptr},  FileSystem{0x858458f6, "ramfs", nullptr},
    FileSystem{0x2fc12fc1, "zfs", nullptr},
};

[[noreturn]] void refuse_option(const std::string& text) {
    throw Error(ErrorKind::invalid, "option idmap=" + text + ": expected uids=ID-HOSTID-LENGTH;gids=ID-HOSTID-LENGTH")
        .with_remedy("several ranges are joined by #, a leading @ counts from the container's user namespace");
}

/// `host` is an id of the container: what the host calls it.
std::uint32_t to_host(std::uint32_t host, std::uint32_t inside, const std::vector<oci::IdMapping>& maps,
                      const std::string& text) {
    for (const auto& map : maps) {
        if (inside >= map.container_id && inside - map.container_id < map.size) {
            return host + (map.host_id - map.container_id);
        }
    }
    throw Error(ErrorKind::invalid,
                "option idmap=" + text + ": the container's user namespace has no id " + std::to_string(inside));
}

std::vector<posix::IdMapping> parse_ranges(std::string_view ranges, const std::vector<oci::IdMapping>& container,
                                           const std::string& text) {
    std::vector<posix::IdMapping> maps;
    for (auto range : split(ranges, '#')) {
        const bool relative = range.starts_with("@");
        if (relative) range.remove_prefix(1);
        const auto parts = split(range, '-');
        std::array<std::uint32_t, 3> numbers{};
        if (parts.size() != numbers.size()) refuse_option(text);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            const auto number = parse_u64(parts[i]);
            if (!number || *number > UINT32_MAX) refuse_option(text);
            numbers[i] = static_cast<std::uint32_t>(*number);
        }
        if (relative) numbers[1] = to_host(numbers[1], numbers[0], container, text);
        maps.push_back({numbers[0], numbers[1], numbers[2]});
    }
    return maps;
}

}  // namespace

std::vector<posix::IdMapping> to_posix(const std::vector<oci::IdMapping>& maps) {
    std::vector<posix::IdMapping> result;
    result.reserve(maps.size());
    for (const auto& map : maps) result.push_back({map.container_id, map.host_id, map.size});
    return result;
}

posix::IdMaps parse_idmap_option(const std::string& text, const oci::Linux& config) {
    posix::IdMaps maps;
    for (const auto part : split(text, ';')) {
        if (part.starts_with("uids=") && maps.uids.empty()) {
            maps.uids = parse_ranges(part.substr(5), config.uid_mappings, text);
        } else if (part.starts_with("gids=") && maps.gids.empty()) {
            maps.gids = parse_ranges(part.substr(5), config.gid_mappings, text);
        } else {
            refuse_option(text);
        }
    }
    return maps;
}

bool is_idmapped(const oci::Mount& mount, const MountOptions& options) noexcept {
    return options.idmap || options.recursive_idmap || !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
}

posix::IdMaps own_id_maps(const oci::Mount& mount, const MountOptions& options, const oci::Linux& config,
                          const std::string& place) {
    posix::IdMaps maps;
    if (!options.idmap_text.empty()) {
        maps = in_step(place, [&] { return parse_idmap_option(options.idmap_text, config); });
    } else {
        maps.uids = to_posix(mount.uid_mappings);
        maps.gids = to_posix(mount.gid_mappings);
    }
    if (maps.uids.empty() != maps.gids.empty()) {
        throw Error(ErrorKind::invalid, place + ": id-mapped mounts must have both uid and gid mappings specified");
    }
    if (std::max(maps.uids.size(), maps.gids.size()) > most_map_lines) {
        throw Error(ErrorKind::invalid, place + ": " + std::to_string(std::max(maps.uids.size(), maps.gids.size())) +
                                            " id mappings are more than the kernel takes, which is " +
                                            std::to_string(most_map_lines))
            .with_remedy("join neighbouring ranges");
    }
    constexpr std::size_t page = 4096;  // a map is one write(2), shorter than a page
    if (std::max(posix::map_text(maps.uids).size(), posix::map_text(maps.gids).size()) >= page) {
        throw Error(ErrorKind::invalid, place + ": the text of the id mappings is longer than a page of the kernel")
            .with_remedy("join neighbouring ranges");
    }
    return maps;
}

std::string idmap_support(long magic) {
    const auto found =
        std::find_if(file_systems.begin(), file_systems.end(), [&](const FileSystem& fs) { return fs.magic == magic; });
    if (found == file_systems.end()) {
        std::array<char, 32> number{};
        std::snprintf(number.data(), number.size(), "0x%lx", static_cast<unsigned long>(magic));
        return std::string("the file system with the number ") + number.data() + " has none";
    }
    const std::string name = found->name;
    if (name == "overlay") return "overlay has none itself; its layers can be mapped, since Linux 5.19";
    if (found->since == nullptr) return name + " has none in any Linux known to this runtime";
    return name + " has them since Linux " + found->since;
}

void map_mount_ids(const UniqueFd& tree, bool recursive, const UniqueFd& user_namespace, const std::string& what) {
    try {
        change_mount(tree, recursive, MOUNT_ATTR_IDMAP, 0, 0, what, user_namespace.get());
    } catch (const Error& e) {
        struct statfs fs {};
        if (::fstatfs(tree.get(), &fs) != 0) throw;
        Error error(
            e.kind(),
            what + ": idmapped mount: " + errno_text(e.os_errno()) + ": " + idmap_support(static_cast<long>(fs.f_type)),
            e.os_errno());
        if (e.os_errno() == EPERM) {
            error.with_remedy(
                "the ids of a mount can be mapped once, by who has CAP_SYS_ADMIN in the user namespace that mounted "
                "the file system");
        } else if (recursive) {
            error.with_remedy("ridmap maps every mount below the source too: idmap takes the source's own alone");
        }
        throw error;
    }
}

}  // namespace locald::shim
