#pragma once

// runtime-spec 1.3: config.json as values. Field names are the spec's in our spelling; an optional that is empty was
// absent. Every object keeps the members this version does not know in `unknown` (one JSON object as text, empty when
// there are none), so that a config survives a round trip.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::oci {

using Annotations = std::map<std::string, std::string>;

/// config.md, "Root".
struct Root {
    std::string path;  ///< absolute, or relative to the bundle
    bool readonly = false;
    std::string unknown;
};

/// config-linux.md, "User namespace mappings". Ids are uint32; `size` counts ids.
struct IdMapping {
    std::uint32_t container_id = 0, host_id = 0, size = 0;
    bool operator==(const IdMapping&) const = default;
};

/// config.md, "Mounts".
struct Mount {
    std::string destination;
    std::string type;    ///< empty when absent
    std::string source;  ///< empty when absent
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings, gid_mappings;
    std::string unknown;
};

/// config.md, "User". Ids are uint32, umask is an octal mode as a number.
struct User {
    std::uint32_t uid = 0, gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<std::uint32_t> additional_gids;
    std::string unknown;
};

struct ConsoleSize {
    std::uint32_t height = 0, width = 0;  ///< character cells
    std::string unknown{};
};

/// config.md, "Linux Process", capabilities: names such as CAP_KILL, in five sets.
struct Capabilities {
    std::vector<std::string> effective, bounding, inheritable, permitted, ambient;
    std::string unknown;
};

/// config.md, "POSIX process": RLIMIT_ names; limits are uint64, RLIM_INFINITY is 2^64-1.
struct Rlimit {
    std::string type;
    std::uint64_t soft = 0, hard = 0;
    std::string unknown{};
};

struct Scheduler {
    std::string policy;  ///< SCHED_OTHER, SCHED_FIFO, …
    std::optional<std::int32_t> nice, priority;
    std::vector<std::string> flags;
    std::optional<std::uint64_t> runtime, deadline, period;  ///< nanoseconds
    std::string unknown{};
};

struct IoPriority {
    std::string ioclass;  ///< IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE
    std::int32_t priority = 0;
    std::string unknown{};
};

struct ExecCpuAffinity {
    std::string initial, final_;  ///< cpu lists, empty when absent
    std::string unknown{};
};

/// config.md, "Process".
struct Process {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    User user;
    std::vector<std::string> args;
    std::vector<std::string> env;  ///< NAME=value
    std::string cwd;
    std::optional<Capabilities> capabilities;
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::string apparmor_profile;  ///< empty when absent
    std::string selinux_label;     ///< empty when absent
    std::optional<std::int32_t> oom_score_adj;
    std::optional<Scheduler> scheduler;
    std::optional<IoPriority> io_priority;
    std::optional<ExecCpuAffinity> exec_cpu_affinity;
    std::string unknown;
};

/// config.md, "POSIX-platform Hooks".
struct Hook {
    std::string path;
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::optional<std::int32_t> timeout;  ///< seconds, at least 1
    std::string unknown{};
};

struct Hooks {
    std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
    std::string unknown;
    bool empty() const noexcept {
        return prestart.empty() && create_runtime.empty() && create_container.empty() && start_container.empty() &&
               poststart.empty() && poststop.empty();
    }
};

/// config-linux.md, "Namespaces": type is pid, network, mount, ipc, uts, user, cgroup or time.
struct Namespace {
    std::string type;
    std::string path;  ///< empty: a new one
    std::string unknown{};
};

struct TimeOffset {
    std::int64_t secs = 0;
    std::uint32_t nanosecs = 0;
    std::string unknown{};
};

/// config-linux.md, "Devices": type is c, b, u or p.
struct Device {
    std::string path, type;
    std::int64_t major = 0, minor = 0;
    std::optional<std::uint32_t> file_mode, uid, gid;
    std::string unknown{};
};

/// config-linux.md, "Allowed Device list"; an absent major or minor means all.
struct DeviceRule {
    bool allow = false;
    std::string type;  ///< a (or empty), c, b
    std::optional<std::int64_t> major, minor;
    std::string access;  ///< letters of rwm; empty means all
    std::string unknown{};
};

struct MemoryResources {
    std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;  ///< bytes, -1 unlimited
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
    std::string unknown{};
};

struct CpuResources {
    std::optional<std::uint64_t> shares;
    std::optional<std::int64_t> quota;  ///< microseconds
    std::optional<std::uint64_t> burst, period;
    std::optional<std::int64_t> realtime_runtime;
    std::optional<std::uint64_t> realtime_period;
    std::string cpus, mems;
    std::optional<std::int64_t> idle;
    std::string unknown{};
};

struct WeightDevice {
    std::int64_t major = 0, minor = 0;
    std::optional<std::uint16_t> weight, leaf_weight;
    std::string unknown{};
};
struct ThrottleDevice {
    std::int64_t major = 0, minor = 0;
    std::uint64_t rate = 0;
    std::string unknown{};
};
struct BlockIoResources {
    std::optional<std::uint16_t> weight, leaf_weight;
    std::vector<WeightDevice> weight_device;
    std::vector<ThrottleDevice> throttle_read_bps, throttle_write_bps, throttle_read_iops, throttle_write_iops;
    std::string unknown{};
};

struct HugepageLimit {
    std::string page_size;
    std::uint64_t limit = 0;
    std::string unknown{};
};

struct InterfacePriority {
    std::string name;
    std::uint32_t priority = 0;
    std::string unknown{};
};
struct NetworkResources {
    std::optional<std::uint32_t> class_id;
    std::vector<InterfacePriority> priorities;
    std::string unknown{};
};

struct RdmaLimit {
    std::optional<std::uint32_t> hca_handles, hca_objects;
    std::string unknown{};
};

/// config-linux.md, "Control groups".
struct Resources {
    std::vector<DeviceRule> devices;
    std::optional<MemoryResources> memory;
    std::optional<CpuResources> cpu;
    std::optional<std::int64_t> pids_limit;  ///< pids.limit; -1 unlimited
    std::optional<BlockIoResources> block_io;
    std::vector<HugepageLimit> hugepage_limits;
    std::optional<NetworkResources> network;
    std::map<std::string, RdmaLimit> rdma;
    std::map<std::string, std::string> unified;
    std::string unknown;
};

struct SeccompArg {
    std::uint32_t index = 0;
    std::uint64_t value = 0, value_two = 0;
    std::string op;  ///< SCMP_CMP_…
    std::string unknown{};
};
struct SeccompRule {
    std::vector<std::string> names;
    std::string action;  ///< SCMP_ACT_…
    std::optional<std::uint32_t> errno_ret;
    std::vector<SeccompArg> args;
    std::string unknown{};
};
/// config-linux.md, "Seccomp".
struct Seccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<std::string> flags;
    std::string listener_path, listener_metadata;
    std::vector<SeccompRule> syscalls;
    std::string unknown;
};

struct IntelRdt {
    std::string clos_id, l3_cache_schema, mem_bw_schema;
    std::vector<std::string> schemata;
    bool enable_monitoring = false;
    std::string unknown;
};

struct Personality {
    std::string domain;  ///< LINUX or LINUX32
    std::vector<std::string> flags;
    std::string unknown{};
};

struct MemoryPolicy {
    std::string mode, nodes;
    std::vector<std::string> flags;
    std::string unknown{};
};

struct NetDevice {
    std::string name;  ///< the name inside; empty keeps it
    std::string unknown{};
};

/// config-linux.md.
struct Linux {
    std::vector<IdMapping> uid_mappings, gid_mappings;
    std::map<std::string, TimeOffset> time_offsets;  ///< keys monotonic, boottime
    std::map<std::string, std::string> sysctl;
    std::optional<Resources> resources;
    std::string cgroups_path;
    std::vector<Namespace> namespaces;
    std::vector<Device> devices;
    std::map<std::string, NetDevice> net_devices;
    std::optional<Seccomp> seccomp;
    std::string rootfs_propagation;
    std::vector<std::string> masked_paths, readonly_paths;
    std::string mount_label;
    std::optional<IntelRdt> intel_rdt;
    std::optional<MemoryPolicy> memory_policy;
    std::optional<Personality> personality;
    std::string unknown;
};

/// config.md: the whole of config.json.
struct Spec {
    std::string oci_version;
    std::optional<Root> root;
    std::vector<Mount> mounts;
    std::optional<Process> process;
    std::string hostname, domainname;
    std::optional<Hooks> hooks;
    Annotations annotations;
    std::optional<Linux> linux_;
    std::string unknown;

    /// @throws Error(invalid) when there is no linux object
    const Linux& get_linux() const;
};

/// @throws Error(invalid) that names the place: `linux.uidMappings[0].size: expected 0..4294967295, got -1`
Spec parse_spec(std::string_view json);
/// The JSON text of a Spec: indented by tabs when `pretty`, else on one line. Absent optionals stay absent.
std::string to_json(const Spec& spec, bool pretty = true);

/// A process object alone (`exec --process`).
Process parse_process(std::string_view json);
std::string to_json(const Process& process, bool pretty = true);

/// A resources object alone (`update --resources`); places start with `resources`.
Resources parse_resources(std::string_view json);

}  // namespace locald::oci
