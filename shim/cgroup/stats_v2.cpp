#include <limits>

#include "core/base/text.hpp"
#include "shim/cgroup/stats_read.hpp"

namespace locald::shim {

namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t ns_per_us = 1000;

std::uint64_t value_of(const std::map<std::string, std::uint64_t>& table, const char* key) {
    const auto found = table.find(key);
    return found == table.end() ? 0 : found->second;
}

void read_cpu(const CgroupDir& dir, CgroupStats::Cpu& cpu) {
    const auto table = read_table(dir, "cpu.stat");
    // cpu.stat counts the time even where the cpu controller is on v1 or not enabled; v1's own account is finer.
    if (cpu.total == 0) {
        cpu.total = value_of(table, "usage_usec") * ns_per_us;
        cpu.user = value_of(table, "user_usec") * ns_per_us;
        cpu.kernel = value_of(table, "system_usec") * ns_per_us;
    }
    if (table.contains("nr_periods")) {
        cpu.periods = value_of(table, "nr_periods");
        cpu.throttled_periods = value_of(table, "nr_throttled");
        cpu.throttled_time = value_of(table, "throttled_usec") * ns_per_us;
    }
    cpu.pressure = parse_pressure(dir.read("cpu.pressure").value_or(""));
}

CgroupStats::Entry memory_entry(const CgroupDir& dir, const std::string& name) {
    CgroupStats::Entry entry;
    entry.usage = read_number(dir, name + ".current");
    entry.limit = read_number(dir, name + ".max");
    entry.max = read_number(dir, name + ".peak");
    return entry;
}

void read_memory(const CgroupDir& dir, CgroupStats::Memory& memory) {
    memory.pressure = parse_pressure(dir.read("memory.pressure").value_or(""));
    if (!dir.has("memory.current")) return;
    memory.counted = true;
    memory.raw = read_table(dir, "memory.stat");
    memory.cache = value_of(memory.raw, "file");
    memory.events = read_table(dir, "memory.events");
    memory.usage = memory_entry(dir, "memory");
    memory.usage.failcnt = value_of(memory.events, "max");
    if (!dir.has("memory.swap.current")) return;
    memory.swap = memory_entry(dir, "memory.swap");
    memory.swap.usage += memory.usage.usage;
    if (memory.swap.limit != no_limit) {
        memory.swap.limit = memory.usage.limit == no_limit ? no_limit : memory.swap.limit + memory.usage.limit;
    }
    memory.swap.max = 0;  // the two peaks need not have been at the same time
}

/// io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
void read_io(const CgroupDir& dir, CgroupStats& stats) {
    struct Key {
        std::string_view key;
        const char* member;
        const char* op;
    };
    static constexpr Key keys[] = {
        {"rbytes", "ioServiceBytesRecursive", "Read"},    {"wbytes", "ioServiceBytesRecursive", "Write"},
        {"dbytes", "ioServiceBytesRecursive", "Discard"}, {"rios", "ioServicedRecursive", "Read"},
        {"wios", "ioServicedRecursive", "Write"},         {"dios", "ioServicedRecursive", "Discard"},
    };
    stats.io_pressure = parse_pressure(dir.read("io.pressure").value_or(""));
    const auto text = dir.read("io.stat").value_or("");
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        const auto colon = words.front().find(':');
        if (colon == std::string_view::npos) continue;
        const auto major = parse_u64(words.front().substr(0, colon));
        const auto minor = parse_u64(words.front().substr(colon + 1));
        if (!major || !minor) continue;
        for (const auto word : words) {
            const auto equals = word.find('=');
            if (equals == std::string_view::npos) continue;
            for (const auto& key : keys) {
                if (word.substr(0, equals) != key.key) continue;
                stats.blkio[key.member].push_back(
                    {*major, *minor, key.op, parse_u64(word.substr(equals + 1)).value_or(0)});
            }
        }
    }
}

void read_hugetlb(const CgroupDir& dir, CgroupStats& stats) {
    constexpr std::string_view prefix = "hugetlb.", suffix = ".current", reserved = ".rsvd.current";
    for (const auto& name : dir.files()) {
        if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.ends_with(reserved)) continue;
        const std::string size = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
        auto& entry = stats.hugetlb[size];
        const std::string reserved_file = std::string(prefix) + size + std::string(reserved);
        entry.usage = read_number(dir, dir.has(reserved_file) ? reserved_file : name);
        entry.failcnt = dir.value(std::string(prefix) + size + ".events", "max").value_or(0);
    }
}

}  // namespace

std::uint64_t read_number(const CgroupDir& dir, const std::string& file) {
    const auto text = dir.read(file);
    if (!text) return 0;
    return trim(*text) == "max" ? no_limit : parse_u64(trim(*text)).value_or(0);
}

std::map<std::string, std::uint64_t> read_table(const CgroupDir& dir, const std::string& file) {
    std::map<std::string, std::uint64_t> table;
    const auto text = dir.read(file).value_or("");
    for (const auto line : split(text, '\n')) {
        const auto space = line.find(' ');
        if (space == std::string_view::npos) continue;
        if (const auto value = parse_u64(trim(line.substr(space + 1))))
            table[std::string(line.substr(0, space))] = *value;
    }
    return table;
}

void read_v2_stats(const CgroupDir& dir, CgroupStats& stats) {
    read_cpu(dir, stats.cpu);
    read_memory(dir, stats.memory);
    if (dir.has("pids.current")) {
        stats.pids_current = read_number(dir, "pids.current");
        const auto limit = read_number(dir, "pids.max");
        stats.pids_limit = limit == no_limit ? 0 : limit;
    } else if (stats.pids_current == 0) {
        // Nobody counts them here; the list does.
        stats.pids_current = dir.all_processes().size();
    }
    read_io(dir, stats);
    read_hugetlb(dir, stats);
    if (stats.cpuset.cpus.empty()) {
        stats.cpuset.cpus = parse_number_list(dir.read("cpuset.cpus.effective").value_or(""));
        stats.cpuset.mems = parse_number_list(dir.read("cpuset.mems.effective").value_or(""));
    }
}

}  // namespace locald::shim
