// config.json and state.json of a hostile hand, as far as they are read and planned before anything of the host is
// touched: what passes can be written into limits, properties, device rules and a filter.

#include <algorithm>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "shim/base/capabilities.hpp"
#include "shim/cgroup/devices.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/cgroup/limits.hpp"
#include "shim/cgroup/systemd/scope.hpp"
#include "shim/container/state.hpp"
#include "shim/container/validate.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/mounts.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/seccomp/config.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace locald;
using namespace locald::shim;
using fuzz::accepted;
using fuzz::need;

void plan_resources(const oci::Resources& resources) {
    std::vector<std::string> warnings;
    for (const auto& limits : {v2_limits(resources, warnings), v1_limits(resources, warnings)}) {
        for (const auto& limit : limits) {
            need(!limit.field.empty() && !limit.file.empty());
            need(limit.file.find('/') == std::string::npos && limit.file.find('\0') == std::string::npos);
        }
    }
    for (const auto layout : {CgroupLayout::v1, CgroupLayout::v2}) {
        for (const auto& [name, value] : unit_properties(resources, layout)) {
            need(!name.empty() && first_type_length(value.signature) == value.signature.size());
        }
    }
}

void plan_devices(const oci::Resources& resources) {
    const auto rules = effective_device_rules(resources.devices);
    need(!device_program(rules).empty());
    v1_device_lines(rules);
    device_properties(rules, "Character devices:\n  1 mem\n 10 misc\n\nBlock devices:\n  8 sd\n");
}

void plan_mounts(const oci::Spec& spec) {
    // A mount's own maps would make a user namespace; they are only read here.
    oci::Spec plain = spec;
    std::erase_if(plain.mounts, [&](const oci::Mount& mount) {
        const MountOptions options = parse_mount_options(mount.options);
        if (!is_idmapped(mount, options)) return false;
        accepted([&] { own_id_maps(mount, options, *spec.linux_, "mounts[0]"); });
        return true;
    });
    std::vector<std::string> warnings;
    for (const auto& prepared : prepare_mounts(plain, "/bundle", warnings)) {
        need(prepared.target.starts_with('/') && ("/" + prepared.target + "/").find("/../") == std::string::npos);
    }
}

void plan_seccomp(const oci::Spec& spec) {
    const auto filter = container_seccomp(spec, "");
    need(filter.has_value() == has_seccomp(spec));
    if (!filter) return;
    need(!filter->program.empty());
    if (spec.linux_->seccomp) seccomp_agent_message(spec, {});
}

void plan(const oci::Spec& spec) {
    if (spec.linux_->resources) {
        accepted([&] { plan_resources(*spec.linux_->resources); });
        accepted([&] { plan_devices(*spec.linux_->resources); });
    }
    accepted([&] { annotation_properties(spec.annotations); });
    accepted([&] { parse_systemd_scope(spec.linux_->cgroups_path, "id", true); });
    accepted([&] { clean_cgroups_path(spec.linux_->cgroups_path); });
    accepted([&] { plan_mounts(spec); });
    accepted([&] { plan_seccomp(spec); });
    accepted([&] { check_no_pivot(spec); });
    if (spec.process && spec.process->capabilities) {
        std::vector<std::string> warnings;
        const auto sets = parse_capabilities(*spec.process->capabilities, warnings, all_capabilities);
        // What the kernel refuses at the last step of a start.
        need((sets.effective & ~sets.permitted) == 0 && (sets.ambient & ~(sets.permitted & sets.inheritable)) == 0);
    }
}

void config(std::string_view text) {
    const oci::Spec spec = oci::parse_spec(text);
    for (const bool need_process : {true, false}) {
        try {
            validate(spec, need_process);
        } catch (const Error& e) {
            // A security module or a version that is not here.
            need(e.kind() == ErrorKind::invalid || e.kind() == ErrorKind::unsupported);
            continue;
        }
        plan(spec);
        return;
    }
}

void state(std::string_view text) {
    accepted(
        [&] {
            const Record record = parse_record(std::string(text));
            const std::string once = to_json(record);
            need(to_json(parse_record(once)) == once);
        },
        ErrorKind::corrupt);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    accepted([&] { config(text); });
    accepted([&] {
        const oci::Resources resources = oci::parse_resources(text);
        accepted([&] { plan_devices(resources); });
        plan_resources(resources);
    });
    state(text);
    return 0;
}
