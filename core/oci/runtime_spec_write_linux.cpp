#include "core/oci/json_spec_writer.hpp"

namespace locald::oci {

using writer::Object;
using writer::Place;
using writer::put_always;
using writer::put_some;
using writer::put_unknown;
using writer::Text;

static void write(Text& text, const Place& place, const DeviceRule& rule) {
    Object object(text, place);
    put_always(object, "allow", rule.allow);
    put_some(object, "type", rule.type);
    put_some(object, "major", rule.major);
    put_some(object, "minor", rule.minor);
    put_some(object, "access", rule.access);
    put_unknown(object, rule.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const MemoryResources& memory) {
    Object object(text, place);
    put_some(object, "limit", memory.limit);
    put_some(object, "reservation", memory.reservation);
    put_some(object, "swap", memory.swap);
    put_some(object, "kernel", memory.kernel);
    put_some(object, "kernelTCP", memory.kernel_tcp);
    put_some(object, "swappiness", memory.swappiness);
    put_some(object, "disableOOMKiller", memory.disable_oom_killer);
    put_some(object, "useHierarchy", memory.use_hierarchy);
    put_some(object, "checkBeforeUpdate", memory.check_before_update);
    put_unknown(object, memory.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const CpuResources& cpu) {
    Object object(text, place);
    put_some(object, "shares", cpu.shares);
    put_some(object, "quota", cpu.quota);
    put_some(object, "burst", cpu.burst);
    put_some(object, "period", cpu.period);
    put_some(object, "realtimeRuntime", cpu.realtime_runtime);
    put_some(object, "realtimePeriod", cpu.realtime_period);
    put_some(object, "cpus", cpu.cpus);
    put_some(object, "mems", cpu.mems);
    put_some(object, "idle", cpu.idle);
    put_unknown(object, cpu.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const WeightDevice& device) {
    Object object(text, place);
    put_always(object, "major", device.major);
    put_always(object, "minor", device.minor);
    put_some(object, "weight", device.weight);
    put_some(object, "leafWeight", device.leaf_weight);
    put_unknown(object, device.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const ThrottleDevice& device) {
    Object object(text, place);
    put_always(object, "major", device.major);
    put_always(object, "minor", device.minor);
    put_always(object, "rate", device.rate);
    put_unknown(object, device.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const BlockIoResources& block_io) {
    Object object(text, place);
    put_some(object, "weight", block_io.weight);
    put_some(object, "leafWeight", block_io.leaf_weight);
    put_some(object, "weightDevice", block_io.weight_device);
    put_some(object, "throttleReadBpsDevice", block_io.throttle_read_bps);
    put_some(object, "throttleWriteBpsDevice", block_io.throttle_write_bps);
    put_some(object, "throttleReadIOPSDevice", block_io.throttle_read_iops);
    put_some(object, "throttleWriteIOPSDevice", block_io.throttle_write_iops);
    put_unknown(object, block_io.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const HugepageLimit& limit) {
    Object object(text, place);
    put_always(object, "pageSize", limit.page_size);
    put_always(object, "limit", limit.limit);
    put_unknown(object, limit.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const InterfacePriority& priority) {
    Object object(text, place);
    put_always(object, "name", priority.name);
    put_always(object, "priority", priority.priority);
    put_unknown(object, priority.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const NetworkResources& network) {
    Object object(text, place);
    put_some(object, "classID", network.class_id);
    put_some(object, "priorities", network.priorities);
    put_unknown(object, network.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const RdmaLimit& limit) {
    Object object(text, place);
    put_some(object, "hcaHandles", limit.hca_handles);
    put_some(object, "hcaObjects", limit.hca_objects);
    put_unknown(object, limit.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Resources& resources) {
    Object object(text, place);
    put_some(object, "unified", resources.unified);
    put_some(object, "devices", resources.devices);
    put_some(object, "memory", resources.memory);
    put_some(object, "cpu", resources.cpu);
    if (resources.pids_limit) {
        const Place pids_place = object.key("pids");
        Object pids(text, pids_place);
        put_always(pids, "limit", *resources.pids_limit);
        pids.close();
    }
    put_some(object, "blockIO", resources.block_io);
    put_some(object, "hugepageLimits", resources.hugepage_limits);
    put_some(object, "network", resources.network);
    put_some(object, "rdma", resources.rdma);
    put_unknown(object, resources.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const SeccompArg& arg) {
    Object object(text, place);
    put_always(object, "index", arg.index);
    put_always(object, "value", arg.value);
    if (arg.value_two != 0) put_always(object, "valueTwo", arg.value_two);
    put_always(object, "op", arg.op);
    put_unknown(object, arg.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const SeccompRule& rule) {
    Object object(text, place);
    put_always(object, "names", rule.names);
    put_always(object, "action", rule.action);
    put_some(object, "errnoRet", rule.errno_ret);
    put_some(object, "args", rule.args);
    put_unknown(object, rule.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Seccomp& seccomp) {
    Object object(text, place);
    put_always(object, "defaultAction", seccomp.default_action);
    put_some(object, "defaultErrnoRet", seccomp.default_errno_ret);
    put_some(object, "architectures", seccomp.architectures);
    put_some(object, "flags", seccomp.flags);
    put_some(object, "listenerPath", seccomp.listener_path);
    put_some(object, "listenerMetadata", seccomp.listener_metadata);
    put_some(object, "syscalls", seccomp.syscalls);
    put_unknown(object, seccomp.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const TimeOffset& offset) {
    Object object(text, place);
    put_always(object, "secs", offset.secs);
    put_always(object, "nanosecs", offset.nanosecs);
    put_unknown(object, offset.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Namespace& ns) {
    Object object(text, place);
    put_always(object, "type", ns.type);
    put_some(object, "path", ns.path);
    put_unknown(object, ns.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Device& device) {
    Object object(text, place);
    put_always(object, "path", device.path);
    put_always(object, "type", device.type);
    if (device.type != "p") {
        put_always(object, "major", device.major);
        put_always(object, "minor", device.minor);
    }
    put_some(object, "fileMode", device.file_mode);
    put_some(object, "uid", device.uid);
    put_some(object, "gid", device.gid);
    put_unknown(object, device.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const NetDevice& device) {
    Object object(text, place);
    put_some(object, "name", device.name);
    put_unknown(object, device.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const IntelRdt& rdt) {
    Object object(text, place);
    put_some(object, "closID", rdt.clos_id);
    put_some(object, "schemata", rdt.schemata);
    put_some(object, "l3CacheSchema", rdt.l3_cache_schema);
    put_some(object, "memBwSchema", rdt.mem_bw_schema);
    put_some(object, "enableMonitoring", rdt.enable_monitoring);
    put_unknown(object, rdt.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const MemoryPolicy& policy) {
    Object object(text, place);
    put_always(object, "mode", policy.mode);
    put_some(object, "nodes", policy.nodes);
    put_some(object, "flags", policy.flags);
    put_unknown(object, policy.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Personality& personality) {
    Object object(text, place);
    put_always(object, "domain", personality.domain);
    put_some(object, "flags", personality.flags);
    put_unknown(object, personality.unknown);
    object.close();
}

void write(Text& text, const Place& place, const Linux& in) {
    Object object(text, place);
    put_some(object, "uidMappings", in.uid_mappings);
    put_some(object, "gidMappings", in.gid_mappings);
    put_some(object, "sysctl", in.sysctl);
    put_some(object, "resources", in.resources);
    put_some(object, "cgroupsPath", in.cgroups_path);
    put_some(object, "namespaces", in.namespaces);
    put_some(object, "devices", in.devices);
    put_some(object, "netDevices", in.net_devices);
    put_some(object, "seccomp", in.seccomp);
    put_some(object, "rootfsPropagation", in.rootfs_propagation);
    put_some(object, "maskedPaths", in.masked_paths);
    put_some(object, "readonlyPaths", in.readonly_paths);
    put_some(object, "mountLabel", in.mount_label);
    put_some(object, "intelRdt", in.intel_rdt);
    put_some(object, "memoryPolicy", in.memory_policy);
    put_some(object, "personality", in.personality);
    put_some(object, "timeOffsets", in.time_offsets);
    put_unknown(object, in.unknown);
    object.close();
}

}  // namespace locald::oci
