#include <limits>

#include "core/base/text.hpp"
#include "shim/cgroup/stats_read.hpp"

namespace locald::shim {

namespace {

std::vector<std::uint64_t> numbers_in(const std::string& text) {
    std::vector<std::uint64_t> numbers;
    for (const auto word : split(trim(text), ' ')) {
        if (const auto number = parse_u64(word)) numbers.push_back(*number);
    }
    return numbers;
}

void read_cpuacct(const CgroupDir& dir, CgroupStats::Cpu& cpu) {
    cpu.total = read_number(dir, "cpuacct.usage");
    cpu.user = read_number(dir, "cpuacct.usage_user");
    cpu.kernel = read_number(dir, "cpuacct.usage_sys");
    cpu.percpu = numbers_in(dir.read("cpuacct.usage_percpu").value_or(""));
    cpu.percpu_user = numbers_in(dir.read("cpuacct.usage_percpu_user").value_or(""));
    cpu.percpu_kernel = numbers_in(dir.read("cpuacct.usage_percpu_sys").value_or(""));
}

void read_cpu(const CgroupDir& dir, CgroupStats::Cpu& cpu) {
    const auto table = read_table(dir, "cpu.stat");
    const auto value = [&](const char* key) {
        const auto found = table.find(key);
        return found == table.end() ? 0 : found->second;
    };
    cpu.periods = value("nr_periods");
    cpu.throttled_periods = value("nr_throttled");
    cpu.throttled_time = value("throttled_time");
}

CgroupStats::Entry memory_entry(const CgroupDir& dir, const std::string& name) {
    CgroupStats::Entry entry;
    entry.usage = read_number(dir, name + ".usage_in_bytes");
    entry.limit = read_number(dir, name + ".limit_in_bytes");
    entry.max = read_number(dir, name + ".max_usage_in_bytes");
    entry.failcnt = read_number(dir, name + ".failcnt");
    return entry;
}

void read_memory(const CgroupDir& dir, CgroupStats::Memory& memory) {
    memory.counted = true;
    memory.raw = read_table(dir, "memory.stat");
    const auto cache = memory.raw.find("total_cache");
    memory.cache = cache != memory.raw.end() ? cache->second : memory.raw["cache"];
    memory.usage = memory_entry(dir, "memory");
    memory.swap = memory_entry(dir, "memory.memsw");
    memory.kernel = memory_entry(dir, "memory.kmem");
    memory.kernel_tcp = memory_entry(dir, "memory.kmem.tcp");
}

void read_cpuset(const CgroupDir& dir, CgroupStats::Cpuset& cpuset) {
    cpuset.cpus = parse_number_list(dir.read("cpuset.cpus").value_or(""));
    cpuset.mems = parse_number_list(dir.read("cpuset.mems").value_or(""));
    for (const char* flag : {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                             "memory_spread_slab", "memory_pressure", "sched_load_balance"}) {
        cpuset.flags[flag] = static_cast<std::int64_t>(read_number(dir, std::string("cpuset.") + flag));
    }
    const std::string level(trim(dir.read("cpuset.sched_relax_domain_level").value_or("0")));
    const bool negative = level.starts_with('-');
    const auto number = static_cast<std::int64_t>(parse_u64(level.substr(negative ? 1 : 0)).value_or(0));
    cpuset.flags["sched_relax_domain_level"] = negative ? -number : number;
}

/// Lines `8:0 Read 4096` or, for the files without an operation, `8:0 4096`. @returns false when the file has none
bool read_blkio_file(const CgroupDir& dir, const char* file, const char* member, CgroupStats& stats) {
    const auto text = dir.read(file).value_or("");
    std::vector<CgroupStats::BlkioEntry> entries;
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        const auto colon = words.front().find(':');
        if (words.size() < 2 || colon == std::string_view::npos) continue;
        const auto major = parse_u64(words.front().substr(0, colon));
        const auto minor = parse_u64(words.front().substr(colon + 1));
        const auto value = parse_u64(words.back());
        if (!major || !minor || !value) continue;
        entries.push_back({*major, *minor, words.size() > 2 ? std::string(words[1]) : std::string(), *value});
    }
    if (entries.empty()) return false;
    stats.blkio[member] = std::move(entries);
    return true;
}

/// The first generation of files that counted something: CFQ's, BFQ's, then the throttling layer's, which counts
/// without a scheduler.
void read_blkio(const CgroupDir& dir, CgroupStats& stats) {
    struct File {
        const char* member;
        const char* names[3];
    };
    static constexpr File files[] = {
        {"ioServiceBytesRecursive",
         {"blkio.io_service_bytes_recursive", "blkio.bfq.io_service_bytes_recursive",
          "blkio.throttle.io_service_bytes_recursive"}},
        {"ioServicedRecursive",
         {"blkio.io_serviced_recursive", "blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"}},
        {"ioQueueRecursive", {"blkio.io_queued_recursive", "blkio.bfq.io_queued_recursive", nullptr}},
        {"ioServiceTimeRecursive", {"blkio.io_service_time_recursive", "blkio.bfq.io_service_time_recursive", nullptr}},
        {"ioWaitTimeRecursive", {"blkio.io_wait_time_recursive", "blkio.bfq.io_wait_time_recursive", nullptr}},
        {"ioMergedRecursive", {"blkio.io_merged_recursive", "blkio.bfq.io_merged_recursive", nullptr}},
        {"ioTimeRecursive", {"blkio.time_recursive", "blkio.bfq.time_recursive", nullptr}},
        {"sectorsRecursive", {"blkio.sectors_recursive", "blkio.bfq.sectors_recursive", nullptr}},
    };
    for (const auto& file : files) {
        for (const char* name : file.names) {
            if (name != nullptr && read_blkio_file(dir, name, file.member, stats)) break;
        }
    }
}

void read_hugetlb(const CgroupDir& dir, CgroupStats& stats) {
    constexpr std::string_view prefix = "hugetlb.", suffix = ".usage_in_bytes", reserved = ".rsvd.usage_in_bytes";
    for (const auto& name : dir.files()) {
        if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.ends_with(reserved)) continue;
        const std::string size = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
        const bool counts_reserved = dir.has(std::string(prefix) + size + std::string(reserved));
        const std::string base = std::string(prefix) + size + (counts_reserved ? ".rsvd" : "");
        stats.hugetlb[size] = {0, read_number(dir, base + ".usage_in_bytes"),
                               read_number(dir, base + ".max_usage_in_bytes"), read_number(dir, base + ".failcnt")};
    }
}

}  // namespace

void read_v1_stats(const CgroupDir& dir, const CgroupMount& mount, CgroupStats& stats) {
    if (mount.has("cpuacct")) read_cpuacct(dir, stats.cpu);
    if (mount.has("cpu")) read_cpu(dir, stats.cpu);
    if (mount.has("memory")) read_memory(dir, stats.memory);
    if (mount.has("cpuset")) read_cpuset(dir, stats.cpuset);
    if (mount.has("blkio")) read_blkio(dir, stats);
    if (mount.has("hugetlb")) read_hugetlb(dir, stats);
    if (mount.has("pids")) {
        stats.pids_current = read_number(dir, "pids.current");
        const auto limit = read_number(dir, "pids.max");
        stats.pids_limit = limit == std::numeric_limits<std::uint64_t>::max() ? 0 : limit;
    }
}

}  // namespace locald::shim
