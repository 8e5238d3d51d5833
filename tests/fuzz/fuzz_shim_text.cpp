// The small languages inside config.json and the command line: lists, names, sizes, systemd's values. The first byte
// says which one the rest is read as.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/base/text.hpp"
#include "shim/cgroup/devices.hpp"
#include "shim/cgroup/intel_rdt.hpp"
#include "shim/cgroup/systemd/dbus_wire.hpp"
#include "shim/cgroup/systemd/gvariant.hpp"
#include "shim/cgroup/systemd/scope.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/mount_options.hpp"
#include "shim/options/duration.hpp"
#include "shim/options/signals.hpp"
#include "shim/process/process.hpp"
#include "shim/verbs/exec_options.hpp"
#include "shim/verbs/update_options.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace locald;
using namespace locald::shim;
using fuzz::need;

/// What was read can be sent, and the peer reads the same.
void gvariant(std::string_view text) {
    const DbusValue value = parse_gvariant(text);
    need(first_type_length(value.signature) == value.signature.size());
    if (value.signature.size() > 255) return;
    DbusMessage message;
    message.body = {value};
    // Negative numbers come back as wide as they were sent: the bytes are compared.
    const std::string bytes = encode(message);
    need(encode(decode(bytes)) == bytes);
}

void systemd_scope(const std::string& text) {
    for (const bool system : {true, false}) {
        const SystemdScope scope = parse_systemd_scope(text, "id", system);
        need(!scope.unit.empty() && scope.unit.find('/') == std::string::npos);
        need(!scope.directory.starts_with('/') && ("/" + scope.directory + "/").find("/../") == std::string::npos);
    }
}

void annotation(std::string_view text) {
    const std::string name(fuzz::take_part(text, '\0'));
    annotation_properties({{"org.systemd.property." + name, std::string(text)}});
}

void unified(std::string_view text) {
    oci::Resources resources;
    const std::string name(fuzz::take_part(text, '\0'));
    resources.unified[name] = std::string(text);
    for (const auto& [property, value] : unit_properties(resources, CgroupLayout::v2)) {
        need(!property.empty() && first_type_length(value.signature) == value.signature.size());
    }
}

void mount_option(std::string_view text) {
    std::vector<std::string> options;
    for (const auto option : split(text, ',')) options.emplace_back(option);
    const MountOptions read = parse_mount_options(options);
    need((read.set & read.clear & ~std::uint64_t{0x70}) == 0);  // the access time is a field and not a flag
}

void idmap_option(const std::string& text) {
    oci::Linux config;
    config.uid_mappings = {{0, 100000, 65536}, {65536, 4294900000U, 67295}};
    config.gid_mappings = {{0, 100000, 10}};
    const posix::IdMaps maps = parse_idmap_option(text, config);
    need(!maps.uids.empty() || !maps.gids.empty());
}

void id_list(std::string_view text) {
    constexpr unsigned most = 1024;
    const auto ids = parse_id_list(text, most);
    need(ids.size() <= most);
    for (const unsigned id : ids) need(id < most);
}

void intel_rdt(std::string_view text) {
    oci::IntelRdt rdt;
    rdt.clos_id = fuzz::take_part(text, '\0');
    rdt.l3_cache_schema = fuzz::take_part(text, '\0');
    rdt.mem_bw_schema = fuzz::take_part(text, '\0');
    while (!text.empty()) rdt.schemata.emplace_back(fuzz::take_part(text, '\0'));
    check_intel_rdt(rdt);
    need(rdt.clos_id == "/" || rdt.clos_id.find('/') == std::string::npos);
}

void user(const std::string& text) {
    oci::User user;
    parse_exec_user(text, user);
    need(user.uid != ~0U && user.gid != ~0U);
}

void path(const std::string& text) {
    const std::string clean = clean_path(text);
    need(clean.starts_with('/') && ("/" + clean + "/").find("/../") == std::string::npos);
    need(clean_path(clean) == clean);
    if (clean != "/") need(clean_path(split_path(clean).parent + "/" + split_path(clean).name) == clean);
    need(sysctl_name(sysctl_name(text)).size() == text.size());
}

void device_list(const std::string& text) {
    const auto rules = effective_device_rules({{true, "c", 1, 3, "rwm"}, {true, "b", 8, std::nullopt, "r"}});
    try {
        for (const auto& [file, line] : v1_device_changes(text, rules)) {
            need((file == "devices.allow" || file == "devices.deny") && !line.empty());
        }
    } catch (const Error& e) {
        need(e.kind() == ErrorKind::unsupported || e.kind() == ErrorKind::invalid);
    }
    device_properties(rules, text);
}

void times_and_sizes(const std::string& text) {
    parse_duration(text);
    const auto size = parse_size(text);
    need(!size || *size >= 0);
}

void read_as(unsigned kind, const std::string& text) {
    switch (kind % 14) {
        case 0:
            return gvariant(text);
        case 1:
            return systemd_scope(text);
        case 2:
            return annotation(text);
        case 3:
            return unified(text);
        case 4:
            return mount_option(text);
        case 5:
            return idmap_option(text);
        case 6:
            return id_list(text);
        case 7:
            return intel_rdt(text);
        case 8:
            return user(text);
        case 9:
            return path(text);
        case 10:
            return device_list(text);
        case 11:
            return times_and_sizes(text);
        case 12:
            need(parse_signal(text) >= 0);  // 0 only asks whether the process is there
            return;
        default:
            home_in_passwd(text, 1000);
            fuzz::accepted([&] { find_resctrl(text); }, ErrorKind::unsupported);
            return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string text(fuzz::text_of(data + 1, size - 1));
    fuzz::accepted([&] { read_as(data[0], text); });
    return 0;
}
