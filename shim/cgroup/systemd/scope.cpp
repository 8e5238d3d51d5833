#include "shim/cgroup/systemd/scope.hpp"

#include <algorithm>
#include <limits>
#include <map>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/limits.hpp"
#include "shim/cgroup/systemd/gvariant.hpp"

namespace locald::shim {

namespace {

constexpr std::uint64_t infinity = std::numeric_limits<std::uint64_t>::max();

std::uint64_t or_infinity(std::int64_t value) { return value < 0 ? infinity : static_cast<std::uint64_t>(value); }

/// A list of numbers as systemd takes them: bit n of the bytes, lowest first.
DbusValue bit_mask(const std::string& field, const std::string& list) {
    std::vector<DbusValue> bytes;
    for (const auto part : split(list, ',')) {
        const auto dash = part.find('-');
        const auto first = parse_u64(trim(part.substr(0, dash)));
        const auto last = dash == std::string_view::npos ? first : parse_u64(trim(part.substr(dash + 1)));
        constexpr std::uint64_t most = 8191;
        if (!first || !last || *first > *last || *last > most) {
            throw Error(ErrorKind::invalid,
                        "linux.resources." + field + ": expected a list such as 0-3,7, got " + json_quote(list));
        }
        for (auto bit = *first; bit <= *last; ++bit) {
            while (bytes.size() <= bit / 8) bytes.push_back({"y", 0, {}, {}});
            bytes[bit / 8].number |= std::uint64_t{1} << (bit % 8);
        }
    }
    return DbusValue::array("y", std::move(bytes));
}

void add_quota(UnitProperties& list, std::int64_t quota, std::uint64_t period) {
    constexpr std::uint64_t default_period = 100000, second = 1000000, per_cent = 10000;
    if (quota == 0 && period == 0) return;
    if (period != 0) list.emplace_back("CPUQuotaPeriodUSec", DbusValue::u64(period));
    std::uint64_t per_second = infinity;
    if (quota > 0) {
        const auto each = static_cast<std::uint64_t>(quota);
        const std::uint64_t in = period != 0 ? period : default_period;
        // Whole periods first: the product of both would not fit for quotas that limit nothing.
        constexpr std::uint64_t most = infinity / second - second;
        per_second = each / in > most ? infinity : each / in * second + each % in * second / in;
        // systemd keeps whole per cents: rounded up, so that cpu.max below can have the exact value.
        if (per_second != infinity) per_second = (per_second + per_cent - 1) / per_cent * per_cent;
    }
    list.emplace_back("CPUQuotaPerSecUSec", DbusValue::u64(per_second));
}

std::uint64_t number_or_infinity(std::string_view text) {
    return trim(text) == "max" ? infinity : parse_u64(trim(text)).value_or(infinity);
}

void add_unified(UnitProperties& list, const oci::Resources& resources) {
    static const std::map<std::string, const char*> same{
        {"memory.max", "MemoryMax"}, {"memory.high", "MemoryHigh"},        {"memory.low", "MemoryLow"},
        {"memory.min", "MemoryMin"}, {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
        {"cpu.weight", "CPUWeight"},
    };
    for (const auto& [file, value] : resources.unified) {
        if (const auto found = same.find(file); found != same.end()) {
            list.emplace_back(found->second, DbusValue::u64(number_or_infinity(value)));
        } else if (file == "cpuset.cpus" || file == "cpuset.mems") {
            list.emplace_back(file == "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes",
                              bit_mask("unified." + file, value));
        } else if (file == "cpu.idle" && trim(value) == "1") {
            list.emplace_back("CPUWeight", DbusValue::u64(0));
        } else if (file == "cpu.max") {
            const auto words = split(trim(value), ' ');
            const auto quota = words.front() == "max" ? std::uint64_t{0} : parse_u64(words.front()).value_or(0);
            add_quota(list, quota == 0 ? -1 : static_cast<std::int64_t>(quota),
                      words.size() > 1 ? parse_u64(words[1]).value_or(0) : 0);
        }
    }
}

void add_memory(UnitProperties& list, const oci::MemoryResources& memory, bool v2) {
    const std::int64_t limit = memory.limit.value_or(0);
    if (limit != 0) list.emplace_back(v2 ? "MemoryMax" : "MemoryLimit", DbusValue::u64(or_infinity(limit)));
    if (!v2) return;
    if (const auto low = memory.reservation.value_or(0); low != 0) {
        list.emplace_back("MemoryLow", DbusValue::u64(or_infinity(low)));
    }
    if (const auto swap = swap_max_of(memory.swap.value_or(0), limit); !swap.empty()) {
        list.emplace_back("MemorySwapMax", DbusValue::u64(number_or_infinity(swap)));
    }
}

/// `slice:prefix:name` taken apart; nothing for another form.
std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    for (const auto part : split(path, ':')) parts.emplace_back(part);
    if (parts.size() != 3 || path.find('/') != std::string::npos) parts.clear();
    return parts;
}

std::string major_name(std::string_view proc_devices, bool block, std::int64_t major) {
    bool in_blocks = false;
    for (const auto line : split(proc_devices, '\n')) {
        if (line.starts_with("Character")) in_blocks = false;
        if (line.starts_with("Block")) in_blocks = true;
        const auto text = trim(line);
        const auto space = text.find(' ');
        if (in_blocks != block || space == std::string_view::npos) continue;
        if (parse_u64(text.substr(0, space)) == static_cast<std::uint64_t>(major)) {
            return std::string(trim(text.substr(space + 1)));
        }
    }
    return {};
}

/// A rule in systemd's words; empty when it has none.
std::string device_pattern(const oci::DeviceRule& rule, std::string_view proc_devices) {
    const std::string kind = rule.type == "b" ? "block" : "char";
    if (rule.major && rule.minor) {
        return "/dev/" + kind + "/" + std::to_string(*rule.major) + ":" + std::to_string(*rule.minor);
    }
    if (!rule.major && !rule.minor) return kind + "-*";
    if (!rule.major) return {};
    const std::string name = major_name(proc_devices, rule.type == "b", *rule.major);
    return name.empty() ? name : kind + "-" + name;
}

}  // namespace

std::string slice_directory(const std::string& slice) {
    constexpr std::string_view suffix = ".slice";
    const auto refuse = [&] {
        throw Error(ErrorKind::invalid, "linux.cgroupsPath: " + json_quote(slice) + " is not the name of a slice")
            .with_remedy("such names are words joined by single dashes, without slashes, and end in .slice");
    };
    if (!slice.ends_with(suffix) || slice.find('/') != std::string::npos) refuse();
    const std::string name = slice.substr(0, slice.size() - suffix.size());
    if (name == "-") return {};
    std::string directory, prefix;
    for (const auto word : split(name, '-')) {
        if (word.empty() || word.find("..") != std::string_view::npos) refuse();
        prefix += (prefix.empty() ? "" : "-") + std::string(word);
        directory += (directory.empty() ? "" : "/") + prefix + std::string(suffix);
    }
    return directory;
}

SystemdScope parse_systemd_scope(const std::string& cgroups_path, const std::string& id, bool system) {
    const auto parts = parts_of(cgroups_path.empty() ? ":runc:" + id : cgroups_path);
    if (parts.empty()) {
        throw Error(ErrorKind::invalid,
                    "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
                    "cgroups, got \"" +
                        cgroups_path + "\" instead")
            .with_remedy("give slice:prefix:name, or leave --systemd-cgroup out");
    }
    SystemdScope scope;
    scope.slice = parts[0];
    if (scope.slice.empty()) scope.slice = system ? "system.slice" : "user.slice";
    if (scope.slice == "-") scope.slice = "-.slice";
    const std::string above = slice_directory(scope.slice);
    if (parts[2].ends_with(".slice")) {
        scope.unit = parts[2];
        scope.directory = slice_directory(scope.unit);
        return scope;
    }
    if (parts[2].empty() || parts[2].find('\n') != std::string::npos) {
        throw Error(ErrorKind::invalid, "linux.cgroupsPath: " + json_quote(cgroups_path) + " has no name");
    }
    scope.unit = (parts[1].empty() ? "" : parts[1] + "-") + parts[2] + ".scope";
    scope.directory = (above.empty() ? "" : above + "/") + scope.unit;
    return scope;
}

UnitProperties unit_properties(const oci::Resources& resources, CgroupLayout layout) {
    const bool v2 = layout == CgroupLayout::v2;
    UnitProperties list;
    if (resources.memory) add_memory(list, *resources.memory, v2);
    if (resources.cpu) {
        const auto& cpu = *resources.cpu;
        if (const auto shares = cpu.shares.value_or(0); shares != 0 && cpu.idle.value_or(0) == 0) {
            list.emplace_back(v2 ? "CPUWeight" : "CPUShares", DbusValue::u64(v2 ? weight_of_shares(shares) : shares));
        }
        add_quota(list, cpu.quota.value_or(0), cpu.period.value_or(0));
        if (v2 && !cpu.cpus.empty()) list.emplace_back("AllowedCPUs", bit_mask("cpu.cpus", cpu.cpus));
        if (v2 && !cpu.mems.empty()) list.emplace_back("AllowedMemoryNodes", bit_mask("cpu.mems", cpu.mems));
    }
    if (resources.pids_limit) {
        // systemd cannot say 0; the file can, afterwards.
        list.emplace_back("TasksMax",
                          DbusValue::u64(*resources.pids_limit == 0 ? 1 : or_infinity(*resources.pids_limit)));
    }
    if (!v2 && resources.block_io && resources.block_io->weight.value_or(0) != 0) {
        list.emplace_back("BlockIOWeight", DbusValue::u64(*resources.block_io->weight));
    }
    if (v2) add_unified(list, resources);
    return list;
}

UnitProperties device_properties(const std::vector<oci::DeviceRule>& effective, std::string_view proc_devices) {
    const auto policy = [](const char* name) { return UnitProperties{{"DevicePolicy", DbusValue::string(name)}}; };
    if (effective.empty()) return policy("auto");
    std::vector<std::pair<std::string, std::string>> allowed;
    for (const auto& rule : effective) {
        if (rule.type == "a" && !rule.allow && rule.access == "rwm" && !rule.major && !rule.minor) {
            allowed.clear();
            continue;
        }
        if (rule.type == "a") return policy("auto");
        const std::string pattern = device_pattern(rule, proc_devices);
        if (pattern.empty()) continue;  // a major number without a driver: nothing to open
        const std::pair<std::string, std::string> entry(pattern, rule.access);
        if (rule.allow) {
            allowed.push_back(entry);
        } else if (std::erase(allowed, entry) == 0) {
            return policy("auto");  // takes back a part of something
        }
    }
    std::vector<DbusValue> items;
    for (const auto& [pattern, access] : allowed) {
        items.push_back(DbusValue::tuple({DbusValue::string(pattern), DbusValue::string(access)}));
    }
    UnitProperties list = policy("strict");
    list.emplace_back("DeviceAllow", DbusValue::array("(ss)", {}));  // whatever the manager had by itself
    list.emplace_back("DeviceAllow", DbusValue::array("(ss)", std::move(items)));
    return list;
}

UnitProperties annotation_properties(const oci::Annotations& annotations) {
    constexpr std::string_view prefix = "org.systemd.property.";
    constexpr std::uint64_t us_per_s = 1000000;
    UnitProperties list;
    for (const auto& [key, text] : annotations) {
        if (!key.starts_with(prefix)) continue;
        std::string name = key.substr(prefix.size());
        const bool word = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        });
        if (!word) throw Error(ErrorKind::invalid, "annotation " + key + ": not the name of a unit's property");
        DbusValue value = in_step("annotation " + key, [&] { return parse_gvariant(text); });
        // FooSec, as unit files say it, is FooUSec for programs.
        if (name.ends_with("Sec") && !name.ends_with("USec")) {
            name.insert(name.size() - 3, "U");
            const bool whole = value.signature.size() == 1 && value.signature.find_first_of("ynqiuxt") == 0;
            if (!whole || value.number > infinity / us_per_s) {
                throw Error(ErrorKind::invalid, "annotation " + key + ": expected whole seconds");
            }
            value = DbusValue::u64(value.number * us_per_s);
        }
        list.emplace_back(std::move(name), std::move(value));
    }
    return list;
}

}  // namespace locald::shim
