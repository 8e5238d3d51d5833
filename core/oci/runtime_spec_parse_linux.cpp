#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/oci/json_spec_reader.hpp"

namespace locald::oci::reader {

static void read(Json& value, const Place& place, DeviceRule& out) {
    Object object(value, place);
    object.need("allow", out.allow);
    object.get("type", out.type);
    object.get("major", out.major);
    object.get("minor", out.minor);
    object.get("access", out.access);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, MemoryResources& out) {
    Object object(value, place);
    object.get("limit", out.limit);
    object.get("reservation", out.reservation);
    object.get("swap", out.swap);
    object.get("kernel", out.kernel);
    object.get("kernelTCP", out.kernel_tcp);
    object.get("swappiness", out.swappiness);
    object.get("disableOOMKiller", out.disable_oom_killer);
    object.get("useHierarchy", out.use_hierarchy);
    object.get("checkBeforeUpdate", out.check_before_update);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, CpuResources& out) {
    Object object(value, place);
    object.get("shares", out.shares);
    object.get("quota", out.quota);
    object.get("burst", out.burst);
    object.get("period", out.period);
    object.get("realtimeRuntime", out.realtime_runtime);
    object.get("realtimePeriod", out.realtime_period);
    object.get("cpus", out.cpus);
    object.get("mems", out.mems);
    object.get("idle", out.idle);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, WeightDevice& out) {
    Object object(value, place);
    object.need("major", out.major);
    object.need("minor", out.minor);
    object.get("weight", out.weight);
    object.get("leafWeight", out.leaf_weight);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, ThrottleDevice& out) {
    Object object(value, place);
    object.need("major", out.major);
    object.need("minor", out.minor);
    object.need("rate", out.rate);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, BlockIoResources& out) {
    Object object(value, place);
    object.get("weight", out.weight);
    object.get("leafWeight", out.leaf_weight);
    object.get("weightDevice", out.weight_device);
    object.get("throttleReadBpsDevice", out.throttle_read_bps);
    object.get("throttleWriteBpsDevice", out.throttle_write_bps);
    object.get("throttleReadIOPSDevice", out.throttle_read_iops);
    object.get("throttleWriteIOPSDevice", out.throttle_write_iops);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, HugepageLimit& out) {
    Object object(value, place);
    object.need("pageSize", out.page_size);
    object.need("limit", out.limit);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, InterfacePriority& out) {
    Object object(value, place);
    object.need("name", out.name);
    object.need("priority", out.priority);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, NetworkResources& out) {
    Object object(value, place);
    object.get("classID", out.class_id);
    object.get("priorities", out.priorities);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, RdmaLimit& out) {
    Object object(value, place);
    object.get("hcaHandles", out.hca_handles);
    object.get("hcaObjects", out.hca_objects);
    out.unknown = object.rest();
}

void read(Json& value, const Place& place, Resources& out) {
    Object object(value, place);
    object.get("devices", out.devices);
    object.get("memory", out.memory);
    object.get("cpu", out.cpu);
    if (Json* pids = object.take("pids")) {
        const Place here(place, "pids");
        Object(*pids, here).get("limit", out.pids_limit);
    }
    object.get("blockIO", out.block_io);
    object.get("hugepageLimits", out.hugepage_limits);
    object.get("network", out.network);
    object.get("rdma", out.rdma);
    object.get("unified", out.unified);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, SeccompArg& out) {
    Object object(value, place);
    object.need("index", out.index);
    object.need("value", out.value);
    object.get("valueTwo", out.value_two);
    object.need("op", out.op);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, SeccompRule& out) {
    Object object(value, place);
    object.need("names", out.names);
    if (out.names.empty()) fail(Place(place, "names"), "must hold at least one system call");
    object.need("action", out.action);
    object.get("errnoRet", out.errno_ret);
    object.get("args", out.args);
    out.unknown = object.rest();
}

void read(Json& value, const Place& place, Seccomp& out) {
    Object object(value, place);
    object.need("defaultAction", out.default_action);
    object.get("defaultErrnoRet", out.default_errno_ret);
    object.get("architectures", out.architectures);
    object.get("flags", out.flags);
    object.get("listenerPath", out.listener_path);
    object.get("listenerMetadata", out.listener_metadata);
    if (!out.listener_metadata.empty() && out.listener_path.empty()) {
        fail(Place(place, "listenerMetadata"), "must not be set without listenerPath");
    }
    object.get("syscalls", out.syscalls);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, TimeOffset& out) {
    Object object(value, place);
    object.get("secs", out.secs);
    object.get("nanosecs", out.nanosecs);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Namespace& out) {
    static constexpr std::array<std::string_view, 8> types{"pid", "network", "mount",  "ipc",
                                                           "uts", "user",    "cgroup", "time"};
    Object object(value, place);
    object.need("type", out.type);
    if (std::find(types.begin(), types.end(), out.type) == types.end()) {
        fail(Place(place, "type"), "namespace " + json_quote(out.type.substr(0, 64)) + " does not exist");
    }
    object.get("path", out.path);
    if (!out.path.empty()) need_absolute(out.path, object, "path");
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Device& out) {
    Object object(value, place);
    object.need("path", out.path);
    object.need("type", out.type);
    const bool numbered = out.type == "c" || out.type == "b" || out.type == "u";
    if (!numbered && out.type != "p") {
        fail(Place(place, "type"), "expected c, b, u or p, got " + json_quote(out.type.substr(0, 64)));
    }
    if (numbered) {
        object.need("major", out.major);
        object.need("minor", out.minor);
    } else {
        object.get("major", out.major);
        object.get("minor", out.minor);
    }
    object.get("fileMode", out.file_mode);
    object.get("uid", out.uid);
    object.get("gid", out.gid);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, NetDevice& out) {
    Object object(value, place);
    object.get("name", out.name);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, IntelRdt& out) {
    Object object(value, place);
    object.get("closID", out.clos_id);
    object.get("schemata", out.schemata);
    object.get("l3CacheSchema", out.l3_cache_schema);
    object.get("memBwSchema", out.mem_bw_schema);
    object.get("enableMonitoring", out.enable_monitoring);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, MemoryPolicy& out) {
    Object object(value, place);
    object.need("mode", out.mode);
    object.get("nodes", out.nodes);
    object.get("flags", out.flags);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Personality& out) {
    Object object(value, place);
    object.need("domain", out.domain);
    object.get("flags", out.flags);
    out.unknown = object.rest();
}

void read(Json& value, const Place& place, Linux& out) {
    Object object(value, place);
    object.get("uidMappings", out.uid_mappings);
    object.get("gidMappings", out.gid_mappings);
    object.get("timeOffsets", out.time_offsets);
    object.get("sysctl", out.sysctl);
    object.get("resources", out.resources);
    object.get("cgroupsPath", out.cgroups_path);
    object.get("namespaces", out.namespaces);
    const Place namespaces(place, "namespaces");
    for (std::size_t i = 1; i < out.namespaces.size(); ++i) {
        // There are eight types and each is known by now, so the ninth entry at the latest ends this.
        for (std::size_t j = 0; j < i; ++j) {
            if (out.namespaces[i].type != out.namespaces[j].type) continue;
            fail(Place(namespaces, i), "malformed spec file: duplicated ns " + json_quote(out.namespaces[i].type));
        }
    }
    object.get("devices", out.devices);
    object.get("netDevices", out.net_devices);
    object.get("seccomp", out.seccomp);
    object.get("rootfsPropagation", out.rootfs_propagation);
    object.get("maskedPaths", out.masked_paths);
    object.get("readonlyPaths", out.readonly_paths);
    object.get("mountLabel", out.mount_label);
    object.get("intelRdt", out.intel_rdt);
    object.get("memoryPolicy", out.memory_policy);
    object.get("personality", out.personality);
    out.unknown = object.rest();
}

}  // namespace locald::oci::reader
