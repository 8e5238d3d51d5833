#include "core/base/text.hpp"
#include "shim/cgroup/stats.hpp"

namespace locald::shim {

namespace {

/// One JSON object, member by member. The order and which members go when they are 0 are those of runc's events.
class Object {
public:
    Object& raw(const char* name, const std::string& json) {
        text_ += (text_.empty() ? "\"" : ",\"") + std::string(name) + "\":" + json;
        return *this;
    }
    Object& number(const char* name, std::uint64_t value) { return raw(name, std::to_string(value)); }
    Object& if_any(const char* name, std::uint64_t value) { return value == 0 ? *this : number(name, value); }
    template <typename Number>
    Object& if_any(const char* name, const std::vector<Number>& values) {
        if (values.empty()) return *this;
        std::string json;
        for (const auto value : values) json += (json.empty() ? "" : ",") + std::to_string(value);
        return raw(name, "[" + json + "]");
    }
    Object& if_any(const char* name, const std::optional<Pressure>& pressure);
    std::string text() const { return "{" + text_ + "}"; }

private:
    std::string text_;
};

std::string pressure_line(const Pressure::Line& line) {
    const auto decimal = [](const std::string& text) { return text.empty() ? std::string("0") : text; };
    return Object()
        .raw("avg10", decimal(line.avg10))
        .raw("avg60", decimal(line.avg60))
        .raw("avg300", decimal(line.avg300))
        .number("total", line.total)
        .text();
}

Object& Object::if_any(const char* name, const std::optional<Pressure>& pressure) {
    if (!pressure) return *this;
    return raw(name,
               Object().raw("some", pressure_line(pressure->some)).raw("full", pressure_line(pressure->full)).text());
}

std::string cpu_json(const CgroupStats::Cpu& cpu) {
    Object usage, throttling;
    usage.if_any("total", cpu.total)
        .if_any("percpu", cpu.percpu)
        .if_any("percpu_kernel", cpu.percpu_kernel)
        .if_any("percpu_user", cpu.percpu_user)
        .number("kernel", cpu.kernel)
        .number("user", cpu.user);
    throttling.if_any("periods", cpu.periods)
        .if_any("throttledPeriods", cpu.throttled_periods)
        .if_any("throttledTime", cpu.throttled_time);
    return Object().raw("usage", usage.text()).raw("throttling", throttling.text()).if_any("psi", cpu.pressure).text();
}

std::string cpuset_json(const CgroupStats::Cpuset& cpuset) {
    Object object;
    const auto flag = [&](const char* name) {
        const auto found = cpuset.flags.find(name);
        object.raw(name, std::to_string(found == cpuset.flags.end() ? 0 : found->second));
    };
    object.if_any("cpus", cpuset.cpus);
    flag("cpu_exclusive");
    object.if_any("mems", cpuset.mems);
    for (const char* name :
         {"mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
          "memory_pressure", "sched_load_balance", "sched_relax_domain_level"}) {
        flag(name);
    }
    return object.text();
}

std::string entry_json(const CgroupStats::Entry& entry) {
    return Object()
        .number("limit", entry.limit)
        .if_any("usage", entry.usage)
        .if_any("max", entry.max)
        .number("failcnt", entry.failcnt)
        .text();
}

std::string table_json(const std::map<std::string, std::uint64_t>& table) {
    Object object;
    for (const auto& [key, value] : table) object.number(key.c_str(), value);
    return object.text();
}

std::string memory_json(const CgroupStats::Memory& memory) {
    Object object;
    if (memory.counted) {
        object.if_any("cache", memory.cache)
            .raw("usage", entry_json(memory.usage))
            .raw("swap", entry_json(memory.swap))
            .raw("kernel", entry_json(memory.kernel))
            .raw("kernelTCP", entry_json(memory.kernel_tcp));
    }
    if (!memory.raw.empty()) object.raw("raw", table_json(memory.raw));
    object.if_any("psi", memory.pressure);
    if (!memory.events.empty()) object.raw("event_count", table_json(memory.events));
    return object.text();
}

std::string blkio_json(const CgroupStats& stats) {
    Object object;
    for (const auto& [member, entries] : stats.blkio) {
        std::string list;
        for (const auto& entry : entries) {
            Object one;
            one.if_any("major", entry.major).if_any("minor", entry.minor);
            if (!entry.op.empty()) one.raw("op", json_quote(entry.op));
            list += (list.empty() ? "" : ",") + one.if_any("value", entry.value).text();
        }
        object.raw(member.c_str(), "[" + list + "]");
    }
    return object.if_any("psi", stats.io_pressure).text();
}

std::string interfaces_json(const std::vector<CgroupStats::Interface>& interfaces) {
    if (interfaces.empty()) return "null";
    std::string list;
    for (const auto& i : interfaces) {
        Object object;
        object.raw("Name", json_quote(i.name))
            .number("RxBytes", i.rx_bytes)
            .number("RxPackets", i.rx_packets)
            .number("RxErrors", i.rx_errors)
            .number("RxDropped", i.rx_dropped)
            .number("TxBytes", i.tx_bytes)
            .number("TxPackets", i.tx_packets)
            .number("TxErrors", i.tx_errors)
            .number("TxDropped", i.tx_dropped);
        list += (list.empty() ? "" : ",") + object.text();
    }
    return "[" + list + "]";
}

}  // namespace

std::string to_json(const CgroupStats& stats) {
    Object hugetlb;
    for (const auto& [size, entry] : stats.hugetlb) {
        hugetlb.raw(
            size.c_str(),
            Object().if_any("usage", entry.usage).if_any("max", entry.max).number("failcnt", entry.failcnt).text());
    }
    Object all;
    all.raw("cpu", cpu_json(stats.cpu)).raw("cpuset", cpuset_json(stats.cpuset));
    // Left out where nobody counts it: an absent usage beside a limit of 0 would look like a container without memory.
    if (const std::string memory = memory_json(stats.memory); memory != "{}") all.raw("memory", memory);
    return all.raw("pids", Object().if_any("current", stats.pids_current).if_any("limit", stats.pids_limit).text())
        .raw("blkio", blkio_json(stats))
        .raw("hugetlb", hugetlb.text())
        .raw("intel_rdt", "{}")
        .raw("network_interfaces", interfaces_json(stats.interfaces))
        .text();
}

}  // namespace locald::shim
