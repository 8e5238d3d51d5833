#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::shim {

/// Pressure stall information of one resource, as <resource>.pressure has it.
struct Pressure {
    struct Line {
        std::string avg10, avg60, avg300;  ///< per cent, in the kernel's decimal form
        std::uint64_t total = 0;           ///< microseconds
    };
    Line some, full;
};

/// What the cgroups of one container count, whatever hierarchy counts it. Zero where nobody does.
struct CgroupStats {
    struct Cpu {
        std::uint64_t total = 0, user = 0, kernel = 0;  ///< nanoseconds
        std::vector<std::uint64_t> percpu, percpu_user, percpu_kernel;
        std::uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;  ///< the last in nanoseconds
        std::optional<Pressure> pressure;
    };
    struct Cpuset {
        std::vector<std::uint16_t> cpus, mems;
        std::map<std::string, std::int64_t> flags;  ///< cpu_exclusive, mem_hardwall, …: v1 alone
    };
    struct Entry {
        std::uint64_t limit = 0, usage = 0, max = 0, failcnt = 0;  ///< limit: 2^64-1 is none
    };
    struct Memory {
        bool counted = false;  ///< some memory cgroup is the container's; else pressure alone is known
        std::uint64_t cache = 0;
        Entry usage, swap, kernel, kernel_tcp;        ///< swap: memory and swap together, as v1 counts
        std::map<std::string, std::uint64_t> raw;     ///< memory.stat
        std::map<std::string, std::uint64_t> events;  ///< memory.events: v2 alone
        std::optional<Pressure> pressure;
    };
    struct BlkioEntry {
        std::uint64_t major = 0, minor = 0;
        std::string op;
        std::uint64_t value = 0;
    };
    struct Interface {
        std::string name;
        std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
        std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
    };

    Cpu cpu;
    Cpuset cpuset;
    Memory memory;
    std::uint64_t pids_current = 0, pids_limit = 0;        ///< limit: 0 is none
    std::map<std::string, std::vector<BlkioEntry>> blkio;  ///< by member: ioServiceBytesRecursive, …
    std::optional<Pressure> io_pressure;
    std::map<std::string, Entry> hugetlb;  ///< by page size: 2MB
    std::vector<Interface> interfaces;     ///< of the container's network namespace, without lo
};

/// Reads what the cgroups with these recorded paths count.
CgroupStats read_stats(const std::vector<std::string>& cgroups);

/// The interfaces in the text of /proc/<pid>/net/dev.
std::vector<CgroupStats::Interface> parse_interfaces(std::string_view net_dev);
/// `some avg10=0.00 … total=0` and the same for `full`; nothing when the text is something else.
std::optional<Pressure> parse_pressure(std::string_view text);
/// `0-2,5` as numbers.
std::vector<std::uint16_t> parse_number_list(std::string_view text);

/// The `data` of an event of type stats.
std::string to_json(const CgroupStats& stats);

}  // namespace locald::shim
