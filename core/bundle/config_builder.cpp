#include "core/bundle/config_builder.hpp"

#include "core/bundle/parts.hpp"
#include "core/oci/seccomp_profile.hpp"

namespace locald::bundle {

namespace {

oci::Process make_process(parts::Plan& plan, const std::vector<std::string>& bounding) {
    oci::Process process;
    process.terminal = plan.options.tty;
    process.console_size = plan.options.tty ? plan.options.console_size : std::nullopt;
    process.user.uid = plan.user.uid;
    process.user.gid = plan.user.gid;
    process.user.additional_gids = plan.user.additional_gids;
    process.args = parts::make_args(plan);
    process.env = parts::make_environment(plan);
    process.cwd = parts::make_cwd(plan);
    process.rlimits = parts::make_rlimits(plan.options);
    process.no_new_privileges = plan.options.no_new_privileges;

    oci::Capabilities capabilities;
    capabilities.bounding = bounding;
    // Another user than root gets what programs with file capabilities or a setuid bit may give him, and nothing
    // before. Inheritable stays empty for everybody (CVE-2022-24769).
    if (plan.user.uid == 0) {
        capabilities.effective = capabilities.bounding;
        capabilities.permitted = capabilities.bounding;
    }
    process.capabilities = std::move(capabilities);
    return process;
}

std::vector<oci::Namespace> make_namespaces(const parts::Plan& plan) {
    std::vector<oci::Namespace> namespaces{{"pid", ""}, {"ipc", ""}, {"uts", ""}, {"mount", ""}};
    if (plan.host.cgroup_v2 && plan.host.cgroup_namespace) namespaces.push_back({"cgroup", ""});
    if (plan.options.network != NetworkMode::host) namespaces.push_back({"network", ""});
    if (plan.user_namespace()) namespaces.push_back({"user", ""});
    return namespaces;
}

oci::Root make_root(const RunOptions& options) {
    oci::Root root;
    root.path = "rootfs";
    root.readonly = options.read_only;
    return root;
}

oci::Linux make_linux(const parts::Plan& plan, const std::vector<std::string>& bounding) {
    oci::Linux part;
    part.uid_mappings = plan.host.uid_mappings;
    part.gid_mappings = plan.host.gid_mappings;
    part.namespaces = make_namespaces(plan);
    part.resources = parts::make_resources(plan.options);
    part.cgroups_path = plan.host.cgroups_path;
    part.seccomp = oci::default_seccomp(bounding);
    // What tells of the host's hardware and work, or reaches it; moby's and containerd's lists of 2026.
    part.masked_paths = {"/proc/acpi",
                         "/proc/asound",
                         "/proc/interrupts",
                         "/proc/kcore",
                         "/proc/keys",
                         "/proc/latency_stats",
                         "/proc/sched_debug",
                         "/proc/scsi",
                         "/proc/timer_list",
                         "/proc/timer_stats",
                         "/sys/devices/virtual/powercap",
                         "/sys/firmware"};
    part.masked_paths.insert(part.masked_paths.end(), plan.host.masked_globs.begin(), plan.host.masked_globs.end());
    part.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    return part;
}

}  // namespace

Bundle build_bundle(const RunOptions& options, const std::optional<oci::ImageConfig>& image,
                    const AccountFiles& accounts, const HostFacts& host) {
    parts::Plan plan{options, image ? &*image : nullptr, accounts, host, {}, {}, {}, {}};
    plan.hostname = parts::make_hostname(options);
    plan.user = parts::choose_user(plan);

    const auto bounding = parts::bounding_set(options);

    Bundle bundle;
    bundle.spec.oci_version = "1.0.2";  // the lowest that has all we write, so that old runtimes take it
    bundle.spec.root = make_root(options);
    bundle.spec.process = make_process(plan, bounding);
    bundle.spec.hostname = plan.hostname;
    plan.files = parts::make_files(plan);
    bundle.spec.mounts = parts::all_mounts(plan);
    bundle.spec.linux_ = make_linux(plan, bounding);
    bundle.stop_signal = parts::make_stop_signal(plan);
    bundle.spec.annotations = parts::make_annotations(plan, bundle.stop_signal);
    bundle.files = std::move(plan.files);
    if (image) bundle.layers = image->diff_ids;
    bundle.warnings = std::move(plan.warnings);
    return bundle;
}

}  // namespace locald::bundle
