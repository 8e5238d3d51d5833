#include "shim/container/validate_fields.hpp"

#include <linux/limits.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

constexpr std::size_t most_name = 64;               // __NEW_UTS_LEN
constexpr std::size_t most_word = 131072 - 1;       // MAX_ARG_STRLEN with its NUL: execve refuses longer ones
constexpr std::size_t most_mappings = 340;          // UID_GID_MAP_MAX_EXTENTS
constexpr std::uint32_t no_id = ~std::uint32_t{0};  // (uid_t)-1 means "leave it as it is"
constexpr std::uint32_t most_cells = 65535;         // struct winsize
constexpr unsigned most_cpus = 8192;

[[noreturn]] void refuse(const std::string& field, const std::string& what) {
    throw Error(ErrorKind::invalid, field + ": " + what);
}

std::string item(const std::string& list, std::size_t index) { return list + "[" + std::to_string(index) + "]"; }

void check_path(const std::string& field, const std::string& path) {
    if (path.size() >= PATH_MAX) {
        refuse(field,
               "has " + std::to_string(path.size()) + " bytes, and a path has at most " + std::to_string(PATH_MAX - 1));
    }
}

void check_words(const std::string& field, const std::vector<std::string>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i].size() > most_word) {
            refuse(item(field, i), "has " + std::to_string(words[i].size()) + " bytes, and the kernel takes " +
                                       std::to_string(most_word));
        }
    }
}

void check_id(const std::string& field, std::uint32_t id) {
    if (id == no_id) refuse(field, "expected 0..4294967294, got 4294967295, which is no id");
}

void check_user(const oci::User& user) {
    check_id("process.user.uid", user.uid);
    check_id("process.user.gid", user.gid);
    for (std::size_t i = 0; i < user.additional_gids.size(); ++i) {
        check_id(item("process.user.additionalGids", i), user.additional_gids[i]);
    }
    if (user.additional_gids.size() > NGROUPS_MAX) {
        refuse("process.user.additionalGids", "has more than " + std::to_string(NGROUPS_MAX) + " groups");
    }
    if (user.umask && *user.umask > 0777) {
        refuse("process.user.umask", "expected 0..511 (0777 in octal), got " + std::to_string(*user.umask));
    }
}

void check_mappings(const std::string& field, const std::vector<oci::IdMapping>& maps) {
    if (maps.size() > most_mappings) {
        refuse(field, "has " + std::to_string(maps.size()) + " entries, and the kernel takes " +
                          std::to_string(most_mappings));
    }
    const auto overlap = [](std::uint64_t a, std::uint64_t b, std::uint64_t a_size, std::uint64_t b_size) {
        return a < b + b_size && b < a + a_size;
    };
    constexpr std::uint64_t ids = std::uint64_t{1} << 32U;
    for (std::size_t i = 0; i < maps.size(); ++i) {
        const auto& map = maps[i];
        if (map.size == 0) refuse(item(field, i) + ".size", "must not be 0");
        if (std::uint64_t{map.container_id} + map.size >= ids) {
            refuse(item(field, i) + ".containerID", "goes past the last id, 4294967294");
        }
        if (std::uint64_t{map.host_id} + map.size >= ids) {
            refuse(item(field, i) + ".hostID", "goes past the last id, 4294967294");
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (overlap(map.container_id, maps[j].container_id, map.size, maps[j].size)) {
                refuse(item(field, i) + ".containerID", "overlaps with entry " + std::to_string(j));
            }
            if (overlap(map.host_id, maps[j].host_id, map.size, maps[j].size)) {
                refuse(item(field, i) + ".hostID", "overlaps with entry " + std::to_string(j));
            }
        }
    }
}

void check_devices(const std::vector<oci::Device>& devices) {
    constexpr std::int64_t most_major = (1 << 12) - 1;  // MINORBITS is 20 of 32
    constexpr std::int64_t most_minor = (1 << 20) - 1;
    for (std::size_t i = 0; i < devices.size(); ++i) {
        const auto& device = devices[i];
        const std::string field = item("linux.devices", i);
        if (!device.path.starts_with('/')) refuse(field + ".path", "must be an absolute path");
        check_path(field + ".path", device.path);
        if (device.major < 0 || device.major > most_major) {
            refuse(field + ".major", "expected 0..4095, got " + std::to_string(device.major));
        }
        if (device.minor < 0 || device.minor > most_minor) {
            refuse(field + ".minor", "expected 0..1048575, got " + std::to_string(device.minor));
        }
        if (device.file_mode && *device.file_mode > 0177777) {
            refuse(field + ".fileMode", "expected a file mode, got " + std::to_string(*device.file_mode));
        }
        if (device.uid) check_id(field + ".uid", *device.uid);
        if (device.gid) check_id(field + ".gid", *device.gid);
    }
}

void check_time_offsets(const oci::Linux& config) {
    constexpr std::uint32_t second = 1'000'000'000;
    for (const auto& [clock, offset] : config.time_offsets) {
        if (clock != "monotonic" && clock != "boottime") {
            refuse("linux.timeOffsets", "expected monotonic or boottime, got " + json_quote(clock.substr(0, 64)));
        }
        if (offset.nanosecs >= second) {
            refuse("linux.timeOffsets." + clock + ".nanosecs",
                   "expected 0..999999999, got " + std::to_string(offset.nanosecs));
        }
    }
}

void check_cpu_list(const std::string& field, const std::string& list) {
    if (!list.empty() && parse_id_list(list, most_cpus).empty()) {
        refuse(field, "expected a cpu list such as 0-3,7, got " + json_quote(list.substr(0, 64)));
    }
}

void check_device_rules(const oci::Resources& resources) {
    for (std::size_t i = 0; i < resources.devices.size(); ++i) {
        const auto& rule = resources.devices[i];
        const std::string field = item("linux.resources.devices", i);
        static constexpr std::array<std::string_view, 4> types{"", "a", "b", "c"};
        if (std::find(types.begin(), types.end(), rule.type) == types.end()) {
            refuse(field + ".type", "expected a, b or c, got " + json_quote(rule.type.substr(0, 64)));
        }
        if (rule.access.find_first_not_of("rwm") != std::string::npos) {
            refuse(field + ".access", "expected letters of rwm, got " + json_quote(rule.access.substr(0, 64)));
        }
    }
}

void check_hooks(const oci::Hooks& hooks) {
    const auto each = [](const std::string& name, const std::vector<oci::Hook>& list) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            check_path(item("hooks." + name, i) + ".path", list[i].path);
            check_words(item("hooks." + name, i) + ".args", list[i].args);
            check_words(item("hooks." + name, i) + ".env", list[i].env);
        }
    };
    each("prestart", hooks.prestart);
    each("createRuntime", hooks.create_runtime);
    each("createContainer", hooks.create_container);
    each("startContainer", hooks.start_container);
    each("poststart", hooks.poststart);
    each("poststop", hooks.poststop);
}

void check_paths(const oci::Spec& spec) {
    if (spec.root) check_path("root.path", spec.root->path);
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        check_path(item("mounts", i) + ".destination", spec.mounts[i].destination);
        check_path(item("mounts", i) + ".source", spec.mounts[i].source);
        check_mappings(item("mounts", i) + ".uidMappings", spec.mounts[i].uid_mappings);
        check_mappings(item("mounts", i) + ".gidMappings", spec.mounts[i].gid_mappings);
    }
    const auto& config = *spec.linux_;
    for (std::size_t i = 0; i < config.masked_paths.size(); ++i) {
        check_path(item("linux.maskedPaths", i), config.masked_paths[i]);
    }
    for (std::size_t i = 0; i < config.readonly_paths.size(); ++i) {
        check_path(item("linux.readonlyPaths", i), config.readonly_paths[i]);
    }
    for (std::size_t i = 0; i < config.namespaces.size(); ++i) {
        check_path(item("linux.namespaces", i) + ".path", config.namespaces[i].path);
    }
    check_path("linux.cgroupsPath", config.cgroups_path);
}

}  // namespace

void check_process(const oci::Process& process) {
    if (process.cwd.empty()) refuse("process.cwd", "Cwd property must not be empty");
    if (process.cwd.front() != '/') refuse("process.cwd", "Cwd must be an absolute path");
    check_path("process.cwd", process.cwd);
    if (process.args.empty()) refuse("process.args", "args must not be empty");
    check_words("process.args", process.args);
    check_words("process.env", process.env);
    check_user(process.user);
    check_rlimits(process.rlimits);
    if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
        refuse("process.oomScoreAdj", "expected -1000..1000, got " + std::to_string(*process.oom_score_adj));
    }
    if (process.console_size) {
        if (process.console_size->height > most_cells) {
            refuse("process.consoleSize.height",
                   "expected 0..65535, got " + std::to_string(process.console_size->height));
        }
        if (process.console_size->width > most_cells) {
            refuse("process.consoleSize.width",
                   "expected 0..65535, got " + std::to_string(process.console_size->width));
        }
    }
    if (process.scheduler) check_scheduler(*process.scheduler);
    if (process.io_priority) check_io_priority(*process.io_priority);
    if (process.exec_cpu_affinity) {
        check_cpu_list("process.execCPUAffinity.initial", process.exec_cpu_affinity->initial);
        check_cpu_list("process.execCPUAffinity.final", process.exec_cpu_affinity->final_);
    }
}

void check_fields(const oci::Spec& spec) {
    if (spec.hostname.size() > most_name) {
        refuse("hostname", "has " + std::to_string(spec.hostname.size()) + " bytes, and the kernel takes 64");
    }
    if (spec.domainname.size() > most_name) {
        refuse("domainname", "has " + std::to_string(spec.domainname.size()) + " bytes, and the kernel takes 64");
    }
    if (spec.hooks) check_hooks(*spec.hooks);
    check_paths(spec);
    const auto& config = *spec.linux_;
    check_mappings("linux.uidMappings", config.uid_mappings);
    check_mappings("linux.gidMappings", config.gid_mappings);
    check_devices(config.devices);
    check_time_offsets(config);
    if (config.resources) check_device_rules(*config.resources);
    if (config.personality) check_personality(*config.personality);
    if (config.memory_policy) check_memory_policy(*config.memory_policy);
}

}  // namespace locald::shim
