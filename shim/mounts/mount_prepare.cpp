// What can be said about `mounts` before anything is made.

#include <unistd.h>

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/idmap.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/mounts.hpp"
#include "shim/mounts/rootfs.hpp"

namespace locald::shim {

namespace {

// What may be put below /proc: single files that lxcfs and its like imitate.
constexpr std::array<std::string_view, 10> allowed_below_proc{"/proc/cpuinfo",
                                                              "/proc/diskstats",
                                                              "/proc/meminfo",
                                                              "/proc/stat",
                                                              "/proc/swaps",
                                                              "/proc/uptime",
                                                              "/proc/loadavg",
                                                              "/proc/slabinfo",
                                                              "/proc/sys/kernel/ns_last_pid",
                                                              "/proc/sys/crypto/fips_enabled"};

void prepare_idmap(PreparedMount& prepared, const oci::Linux& config, const std::string& place) {
    const posix::IdMaps maps = own_id_maps(*prepared.mount, prepared.options, config, place);
    if (::geteuid() != 0) {
        throw Error(ErrorKind::denied, place + ": only root can map the ids of a mount")
            .with_remedy("leave idmap out, or run as root");
    }
    if (!maps.uids.empty()) {
        in_step(place, [&] { prepared.user_namespace = posix::make_user_namespace(maps); });
        return;
    }
    const bool has_user_namespace = std::any_of(config.namespaces.begin(), config.namespaces.end(),
                                                [](const auto& entry) { return entry.type == "user"; });
    if (has_user_namespace) return;
    throw Error(ErrorKind::invalid, place + ": idmap without mappings, and the container has no user namespace")
        .with_remedy("give the mount uidMappings and gidMappings");
}

void check_bind(PreparedMount& prepared, const std::string& bundle, const std::string& place,
                std::vector<std::string>& warnings) {
    const std::string& source = prepared.mount->source;
    if (source.empty()) throw Error(ErrorKind::invalid, place + ".source: a bind needs one");
    prepared.source = source.starts_with("/") ? source : bundle + "/" + source;
    for (const auto& [key, value] : prepared.options.data) {
        std::string text = place;
        warnings.push_back(
            text.append(".options: \"").append(key).append("\" means nothing to a bind and is left out"));
    }
}

void check_filesystem(const PreparedMount& prepared, const std::string& place) {
    const std::string& type = prepared.mount->type;
    if (prepared.idmapped) {
        throw Error(ErrorKind::invalid, place + ": id-mapped mounts are only supported for bind-mounts");
    }
    if (prepared.options.remount) return;
    if (type.empty()) throw Error(ErrorKind::invalid, place + ".type: is missing");
    if (type == "bind") {
        throw Error(ErrorKind::invalid,
                    place + ".options: a bind needs the option bind or rbind, its type says nothing");
    }
    if (prepared.target == "/proc" && type != "proc") {
        throw Error(ErrorKind::invalid, "\"/proc\" cannot be mounted because it is not of type proc");
    }
}

}  // namespace

bool is_allowed_below_proc(const std::string& target) {
    return std::find(allowed_below_proc.begin(), allowed_below_proc.end(), target) != allowed_below_proc.end();
}

std::string mount_text(const PreparedMount& prepared) {
    const std::string& source = prepared.options.is_bind() ? prepared.source : prepared.mount->type;
    return (prepared.options.remount ? "remount " : "mount " + source + " on ") + prepared.target;
}

std::vector<PreparedMount> prepare_mounts(const oci::Spec& spec, const std::string& bundle,
                                          std::vector<std::string>& warnings) {
    std::vector<PreparedMount> result;
    for (std::size_t i = has_root_mount(spec) ? 1 : 0; i < spec.mounts.size(); ++i) {
        const oci::Mount& mount = spec.mounts[i];
        const std::string place = "mounts[" + std::to_string(i) + "]";
        PreparedMount prepared;
        prepared.mount = &mount;
        prepared.index = i;
        prepared.target = clean_path(mount.destination);
        prepared.options = parse_mount_options(mount.options);
        prepared.idmapped = is_idmapped(mount, prepared.options);
        if (!mount.destination.starts_with("/")) {
            warnings.push_back(place + ": mount " + mount.destination +
                               ": relative destination path is **deprecated**, using it as relative to /");
        }
        if (prepared.target == "/") throw Error(ErrorKind::invalid, place + ".destination: only mounts[0] can be /");
        if (prepared.options.is_bind()) {
            check_bind(prepared, bundle, place, warnings);
        } else {
            check_filesystem(prepared, place);
        }
        if (prepared.target.starts_with("/proc/") && !is_allowed_below_proc(prepared.target)) {
            throw Error(ErrorKind::invalid, '"' + prepared.target + "\" cannot be mounted because it is inside /proc");
        }
        if (prepared.idmapped) prepare_idmap(prepared, spec.get_linux(), place);
        result.push_back(std::move(prepared));
    }
    return result;
}

}  // namespace locald::shim
