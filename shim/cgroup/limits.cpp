#include "shim/cgroup/limits.hpp"

#include <cmath>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

namespace {

const std::string prefix = "linux.resources.";

[[noreturn]] void refuse(const std::string& field, const std::string& what) {
    throw Error(ErrorKind::invalid, prefix + field + ": " + what);
}

/// -1 is unlimited; anything below is a mistake that must not become "unlimited" by accident.
void check_signed(const std::string& field, std::int64_t value) {
    if (value < -1) refuse(field, "expected -1 or more, got " + std::to_string(value));
}

std::string max_or(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

class List {
public:
    CgroupLimit& add(const std::string& field, const char* controller, std::string file, std::string value) {
        CgroupLimit limit;
        limit.field = prefix + field;
        limit.controller = controller;
        limit.file = std::move(file);
        limit.value = std::move(value);
        limits_.push_back(std::move(limit));
        return limits_.back();
    }
    std::vector<CgroupLimit> take() { return std::move(limits_); }

private:
    std::vector<CgroupLimit> limits_;
};

/// pids.limit. 0 is a real limit: no process besides the one that runs. The first process is born inside, where the
/// kernel counts it, so 1 is the number that means that.
std::string pids_value(std::int64_t limit) {
    check_signed("pids.limit", limit);
    if (limit < 0) return "max";
    return std::to_string(limit == 0 ? 1 : limit);
}

void check_page_size(const std::string& size) {
    const bool unit = size.size() >= 3 && (size.ends_with("KB") || size.ends_with("MB") || size.ends_with("GB"));
    if (!unit || size.front() == '0' || !parse_u64(std::string_view(size).substr(0, size.size() - 2))) {
        refuse("hugepageLimits", "pageSize: expected a form such as 2MB, got " + json_quote(size));
    }
}

void check_weight(const std::string& field, std::uint16_t weight) {
    if (weight < 10 || weight > 1000) refuse(field, "expected 10..1000, got " + std::to_string(weight));
}

std::string device_number(std::int64_t major, std::int64_t minor) {
    if (major < 0 || minor < 0) refuse("blockIO", "a device number below 0");
    return std::to_string(major) + ":" + std::to_string(minor);
}

/// A name that is written as the first word of a line.
void check_word(const std::string& field, const std::string& word) {
    if (word.empty() || word.find_first_of(" \t\n") != std::string::npos || word.find('\0') != std::string::npos) {
        refuse(field, "expected one word, got " + json_quote(word));
    }
}

void add_rdma(List& list, const oci::Resources& resources) {
    for (const auto& [device, limit] : resources.rdma) {
        check_word("rdma", device);
        std::string line = device;
        if (limit.hca_handles) line += " hca_handle=" + std::to_string(*limit.hca_handles);
        if (limit.hca_objects) line += " hca_object=" + std::to_string(*limit.hca_objects);
        list.add("rdma." + device, "rdma", "rdma.max", line);
    }
}

struct Throttle {
    const char* field;
    const char* v1_file;
    const char* v2_key;
    std::vector<oci::ThrottleDevice> oci::BlockIoResources::*devices;
};

const Throttle throttles[] = {
    {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", &oci::BlockIoResources::throttle_read_bps},
    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", &oci::BlockIoResources::throttle_write_bps},
    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", &oci::BlockIoResources::throttle_read_iops},
    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops",
     &oci::BlockIoResources::throttle_write_iops},
};

// --- v2
// ---------------------------------------------------------------------------------------------------------------

void v2_memory(List& list, const oci::MemoryResources& memory, std::vector<std::string>& warnings) {
    const std::int64_t limit = memory.limit.value_or(0);
    check_signed("memory.limit", limit);
    const std::string swap = swap_max_of(memory.swap.value_or(0), limit);
    if (!swap.empty()) {
        auto& entry = list.add("memory.swap", "memory", "memory.swap.max", swap);
        // Without swap accounting or without swap nothing can be swapped out, and "max" limits nothing.
        entry.skip_if_missing = swap == "0" || swap == "max";
    }
    if (limit != 0) list.add("memory.limit", "memory", "memory.max", max_or(limit));
    if (const auto low = memory.reservation.value_or(0); low != 0) {
        check_signed("memory.reservation", low);
        list.add("memory.reservation", "memory", "memory.low", max_or(low));
    }
    if (memory.swappiness) warnings.push_back(prefix + "memory.swappiness: cgroup v2 has no such setting");
    if (memory.disable_oom_killer.value_or(false)) {
        warnings.push_back(prefix + "memory.disableOOMKiller: cgroup v2 has no such setting");
    }
}

void v2_cpu(List& list, const oci::CpuResources& cpu, std::vector<std::string>& warnings) {
    // A group that is idle refuses a weight: it goes before idleness begins, and after it ends.
    const bool idle = cpu.idle.value_or(0) != 0;
    if (cpu.idle && !idle) list.add("cpu.idle", "cpu", "cpu.idle", "0");
    if (const auto shares = cpu.shares.value_or(0); shares != 0) {
        list.add("cpu.shares", "cpu", "cpu.weight", std::to_string(weight_of_shares(shares)));
    }
    if (idle) list.add("cpu.idle", "cpu", "cpu.idle", std::to_string(*cpu.idle));
    if (cpu.burst) {
        // The kernel wants burst <= quota at every moment; which of the two must go first depends on the old values.
        list.add("cpu.burst", "cpu", "cpu.max.burst", std::to_string(*cpu.burst)).again_if_refused = true;
    }
    const auto quota = cpu.quota.value_or(0);
    const auto period = cpu.period.value_or(0);
    if (quota != 0 || period != 0) {
        constexpr std::uint64_t default_period = 100000;
        list.add(
            quota != 0 ? "cpu.quota" : "cpu.period", "cpu", "cpu.max",
            (quota > 0 ? std::to_string(quota) : "max") + " " + std::to_string(period != 0 ? period : default_period));
    }
    if (!cpu.cpus.empty()) list.add("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus);
    if (!cpu.mems.empty()) list.add("cpu.mems", "cpuset", "cpuset.mems", cpu.mems);
    if (cpu.realtime_runtime.value_or(0) != 0 || cpu.realtime_period.value_or(0) != 0) {
        warnings.push_back(prefix + "cpu.realtimeRuntime: cgroup v2 has no such setting");
    }
}

void v2_block_io(List& list, const oci::BlockIoResources& io) {
    if (const auto weight = io.weight.value_or(0); weight != 0) {
        check_weight("blockIO.weight", weight);
        auto& entry = list.add("blockIO.weight", "io", "io.bfq.weight", std::to_string(weight));
        entry.other_file = "io.weight";
        entry.other_value = std::to_string(io_weight_of(weight));
    }
    for (const auto& device : io.weight_device) {
        if (!device.weight) continue;
        check_weight("blockIO.weightDevice", *device.weight);
        const std::string number = device_number(device.major, device.minor);
        auto& entry =
            list.add("blockIO.weightDevice", "io", "io.bfq.weight", number + " " + std::to_string(*device.weight));
        entry.other_file = "io.weight";
        entry.other_value = number + " " + std::to_string(io_weight_of(*device.weight));
    }
    for (const auto& throttle : throttles) {
        for (const auto& device : io.*(throttle.devices)) {
            list.add(std::string("blockIO.") + throttle.field, "io", "io.max",
                     device_number(device.major, device.minor) + " " + throttle.v2_key + "=" +
                         (device.rate == 0 ? "max" : std::to_string(device.rate)));
        }
    }
}

void v2_unified(List& list, const oci::Resources& resources) {
    for (const auto& [file, text] : resources.unified) {
        if (file.empty() || file.find('/') != std::string::npos || file.find('\0') != std::string::npos) {
            refuse("unified", "unified resource " + json_quote(file) + " must be a file name (no slashes)");
        }
        for (const char* acting : {"cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"}) {
            if (file != acting) continue;
            refuse("unified", "unified resource " + json_quote(file) +
                                  " is no limit: writing to it moves, ends or stops processes, also others than the "
                                  "container's");
        }
        const std::string owner = file.substr(0, file.find('.'));
        for (const auto line : split(text, '\n')) {
            if (line.empty() && text.find('\n') != std::string::npos) continue;
            list.add("unified." + file, owner == "cgroup" ? "" : owner.c_str(), file, std::string(line));
        }
    }
}

// --- v1
// ---------------------------------------------------------------------------------------------------------------

void v1_memory(List& list, const oci::MemoryResources& memory) {
    const std::int64_t limit = memory.limit.value_or(0);
    check_signed("memory.limit", limit);
    std::int64_t swap = memory.swap.value_or(0);
    static_cast<void>(swap_max_of(swap, limit));  // the same values are wrong on both
    if (limit == -1 && swap == 0) swap = -1;
    if (limit != 0) {
        list.add("memory.limit", "memory", "memory.limit_in_bytes", std::to_string(limit)).again_if_refused = true;
    }
    if (swap != 0) {
        auto& entry = list.add("memory.swap", "memory", "memory.memsw.limit_in_bytes", std::to_string(swap));
        entry.again_if_refused = true;
        entry.skip_if_missing = swap == -1;
    }
    if (const auto soft = memory.reservation.value_or(0); soft != 0) {
        check_signed("memory.reservation", soft);
        list.add("memory.reservation", "memory", "memory.soft_limit_in_bytes", std::to_string(soft));
    }
    if (const auto tcp = memory.kernel_tcp.value_or(0); tcp != 0) {
        check_signed("memory.kernelTCP", tcp);
        list.add("memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", std::to_string(tcp));
    }
    if (memory.swappiness) {
        if (*memory.swappiness > 200) refuse("memory.swappiness", "expected 0..100");
        list.add("memory.swappiness", "memory", "memory.swappiness", std::to_string(*memory.swappiness));
    }
    if (memory.disable_oom_killer.value_or(false)) {
        list.add("memory.disableOOMKiller", "memory", "memory.oom_control", "1");
    }
}

void v1_cpu(List& list, const oci::CpuResources& cpu) {
    // A group that is idle refuses a weight: it goes before idleness begins, and after it ends.
    const bool idle = cpu.idle.value_or(0) != 0;
    if (cpu.idle && !idle) list.add("cpu.idle", "cpu", "cpu.idle", "0");
    if (const auto shares = cpu.shares.value_or(0); shares != 0) {
        list.add("cpu.shares", "cpu", "cpu.shares", std::to_string(shares));
    }
    if (idle) list.add("cpu.idle", "cpu", "cpu.idle", std::to_string(*cpu.idle));
    if (const auto period = cpu.period.value_or(0); period != 0) {
        list.add("cpu.period", "cpu", "cpu.cfs_period_us", std::to_string(period)).again_if_refused = true;
    }
    if (cpu.burst) {
        list.add("cpu.burst", "cpu", "cpu.cfs_burst_us", std::to_string(*cpu.burst)).again_if_refused = true;
    }
    if (const auto quota = cpu.quota.value_or(0); quota != 0) {
        list.add("cpu.quota", "cpu", "cpu.cfs_quota_us", std::to_string(quota < 0 ? -1 : quota)).again_if_refused =
            true;
    }
    if (const auto period = cpu.realtime_period.value_or(0); period != 0) {
        list.add("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", std::to_string(period)).again_if_refused = true;
    }
    if (const auto runtime = cpu.realtime_runtime.value_or(0); runtime != 0) {
        list.add("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", std::to_string(runtime));
    }
    if (!cpu.cpus.empty()) list.add("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus);
    if (!cpu.mems.empty()) list.add("cpu.mems", "cpuset", "cpuset.mems", cpu.mems);
}

void v1_block_io(List& list, const oci::BlockIoResources& io) {
    const auto add = [&](const char* field, const char* file, std::string value) -> CgroupLimit& {
        auto& entry = list.add(std::string("blockIO.") + field, "blkio", file, std::move(value));
        entry.at_processes = true;  // v1 throttling and weights see one level only
        return entry;
    };
    const auto weight = [&](const char* field, const char* bfq, const char* cfq, const std::string& value) {
        auto& entry = add(field, bfq, value);
        entry.other_file = cfq;
        entry.other_value = value;
    };
    if (const auto value = io.weight.value_or(0); value != 0) {
        check_weight("blockIO.weight", value);
        weight("weight", "blkio.bfq.weight", "blkio.weight", std::to_string(value));
    }
    if (const auto value = io.leaf_weight.value_or(0); value != 0) {
        check_weight("blockIO.leafWeight", value);
        add("leafWeight", "blkio.leaf_weight", std::to_string(value));
    }
    for (const auto& device : io.weight_device) {
        const std::string number = device_number(device.major, device.minor) + " ";
        if (device.weight) {
            check_weight("blockIO.weightDevice", *device.weight);
            weight("weightDevice", "blkio.bfq.weight_device", "blkio.weight_device",
                   number + std::to_string(*device.weight));
        }
        if (device.leaf_weight) {
            check_weight("blockIO.weightDevice", *device.leaf_weight);
            add("weightDevice", "blkio.leaf_weight_device", number + std::to_string(*device.leaf_weight));
        }
    }
    for (const auto& throttle : throttles) {
        for (const auto& device : io.*(throttle.devices)) {
            add(throttle.field, throttle.v1_file,
                device_number(device.major, device.minor) + " " + std::to_string(device.rate));
        }
    }
}

/// net_cls and net_prio are v1 by nature: with v2 alone they fail with their names.
void add_network(List& list, const oci::NetworkResources& network) {
    if (network.class_id) {
        list.add("network.classID", "net_cls", "net_cls.classid", std::to_string(*network.class_id)).at_processes =
            true;
    }
    for (const auto& entry : network.priorities) {
        check_word("network.priorities", entry.name);
        list.add("network.priorities", "net_prio", "net_prio.ifpriomap",
                 entry.name + " " + std::to_string(entry.priority))
            .at_processes = true;
    }
}

void add_hugepages(List& list, const oci::Resources& resources, const char* suffix) {
    for (const auto& page : resources.hugepage_limits) {
        check_page_size(page.page_size);
        const std::string field = "hugepageLimits." + page.page_size;
        const std::string file = "hugetlb." + page.page_size + ".";
        list.add(field, "hugetlb", file + suffix, std::to_string(page.limit));
        // Reservations count apart from faults since 5.7.
        list.add(field, "hugetlb", file + "rsvd." + suffix, std::to_string(page.limit)).skip_if_missing = true;
    }
}

}  // namespace

std::uint64_t weight_of_shares(std::uint64_t shares) {
    constexpr std::uint64_t least = 2, most = 262144, most_weight = 10000;
    if (shares <= least) return 1;
    if (shares >= most) return most_weight;
    const double l = std::log2(static_cast<double>(shares));
    const double exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
    return static_cast<std::uint64_t>(std::ceil(std::pow(10.0, exponent)));
}

std::uint64_t io_weight_of(std::uint16_t weight) {
    const std::uint64_t above = weight < 10 ? 0 : weight - 10U;
    return 1 + above * 9999 / 990;
}

std::string swap_max_of(std::int64_t swap, std::int64_t limit) {
    check_signed("memory.swap", swap);
    if (swap == -1 || (limit == -1 && swap == 0)) return "max";
    if (swap == 0) return {};
    if (limit == -1) return std::to_string(swap);
    if (limit == 0) refuse("memory.swap", "unable to set swap limit without memory limit");
    if (swap < limit) refuse("memory.swap", "memory+swap limit should be >= memory limit");
    return std::to_string(swap - limit);
}

std::vector<CgroupLimit> v2_limits(const oci::Resources& resources, std::vector<std::string>& warnings) {
    List list;
    if (resources.memory) v2_memory(list, *resources.memory, warnings);
    if (resources.cpu) v2_cpu(list, *resources.cpu, warnings);
    if (resources.pids_limit) list.add("pids.limit", "pids", "pids.max", pids_value(*resources.pids_limit));
    if (resources.block_io) v2_block_io(list, *resources.block_io);
    add_hugepages(list, resources, "max");
    if (resources.network) add_network(list, *resources.network);
    add_rdma(list, resources);
    v2_unified(list, resources);
    return list.take();
}

std::vector<CgroupLimit> v1_limits(const oci::Resources& resources, std::vector<std::string>& warnings) {
    static_cast<void>(warnings);
    List list;
    if (resources.memory) v1_memory(list, *resources.memory);
    if (resources.cpu) v1_cpu(list, *resources.cpu);
    if (resources.pids_limit) list.add("pids.limit", "pids", "pids.max", pids_value(*resources.pids_limit));
    if (resources.block_io) v1_block_io(list, *resources.block_io);
    add_hugepages(list, resources, "limit_in_bytes");
    if (resources.network) add_network(list, *resources.network);
    add_rdma(list, resources);
    return list.take();
}

}  // namespace locald::shim
