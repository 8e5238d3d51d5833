#include "shim/verbs/update_options.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <functional>

#include "core/base/text.hpp"

namespace locald::shim {

namespace {

[[noreturn]] void refuse(const Walker& walker, const std::string& option, const std::string& text) {
    walker.refuse("invalid value for " + option.substr(2) + ": " + json_quote(text));
}

std::int64_t integer(const Walker& walker, const std::string& option, const std::string& text) {
    std::int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
        refuse(walker, option, text);
    }
    return value;
}

std::uint64_t count(const Walker& walker, const std::string& option, const std::string& text) {
    const auto value = parse_u64(text);
    if (!value) refuse(walker, option, text);
    return *value;
}

/// -1 is unlimited.
std::int64_t size(const Walker& walker, const std::string& option, const std::string& text) {
    if (text == "-1") return -1;
    const auto value = parse_size(text);
    if (!value) refuse(walker, option, text);
    return *value;
}

using Set = std::function<void(const Walker&, const std::string& option, const std::string& text)>;
struct Option {
    const char* name;
    Set set;
};

/// The options that are about resources. An empty value leaves things as they are, as runc's callers rely on.
std::array<Option, 18> options_into(UpdateOptions& update) {
    auto& memory = update.resources.memory;
    auto& cpu = update.resources.cpu;
    memory.emplace();
    cpu.emplace();
    const auto unused = [&update](const Walker&, const std::string& option, const std::string&) {
        update.warnings.push_back("Setting " + option + " is ignored and will be removed");
    };
    return {{
        {"--blkio-weight",
         [&](auto& w, auto& o, auto& t) {
             const auto weight = count(w, o, t);
             if (weight > 0xFFFF) refuse(w, o, t);
             if (weight != 0) {
                 update.resources.block_io.emplace();
                 update.resources.block_io->weight = static_cast<std::uint16_t>(weight);
             }
         }},
        {"--cpu-period", [&](auto& w, auto& o, auto& t) { cpu->period = count(w, o, t); }},
        {"--cpu-quota", [&](auto& w, auto& o, auto& t) { cpu->quota = integer(w, o, t); }},
        {"--cpu-burst", [&](auto& w, auto& o, auto& t) { cpu->burst = count(w, o, t); }},
        {"--cpu-share", [&](auto& w, auto& o, auto& t) { cpu->shares = count(w, o, t); }},
        {"--cpu-rt-period", [&](auto& w, auto& o, auto& t) { cpu->realtime_period = count(w, o, t); }},
        {"--cpu-rt-runtime", [&](auto& w, auto& o, auto& t) { cpu->realtime_runtime = integer(w, o, t); }},
        {"--cpu-idle", [&](auto& w, auto& o, auto& t) { cpu->idle = integer(w, o, t); }},
        {"--cpuset-cpus", [&](auto&, auto&, auto& t) { cpu->cpus = t; }},
        {"--cpuset-mems", [&](auto&, auto&, auto& t) { cpu->mems = t; }},
        {"--memory", [&](auto& w, auto& o, auto& t) { memory->limit = size(w, o, t); }},
        {"--memory-reservation", [&](auto& w, auto& o, auto& t) { memory->reservation = size(w, o, t); }},
        {"--memory-swap", [&](auto& w, auto& o, auto& t) { memory->swap = size(w, o, t); }},
        {"--kernel-memory", unused},
        {"--kernel-memory-tcp", unused},
        {"--pids-limit", [&](auto& w, auto& o, auto& t) { update.resources.pids_limit = integer(w, o, t); }},
        {"--l3-cache-schema", [&](auto&, auto&, auto& t) { update.l3_cache_schema = t; }},
        {"--mem-bw-schema", [&](auto&, auto&, auto& t) { update.mem_bw_schema = t; }},
    }};
}

}  // namespace

std::optional<std::int64_t> parse_size(const std::string& text) {
    double number = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec != std::errc() || number < 0 || !std::isfinite(number)) return std::nullopt;
    std::string unit(
        trim(std::string_view(result.ptr, static_cast<std::size_t>(text.data() + text.size() - result.ptr))));
    for (char& c : unit) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (unit.ends_with('b')) unit.pop_back();
    if (unit.size() == 2 && unit[1] == 'i') unit.pop_back();
    if (unit.size() > 1) return std::nullopt;
    constexpr std::string_view units = "kmgtp";
    if (!unit.empty()) {
        const auto power = units.find(unit[0]);
        if (power == std::string_view::npos) return std::nullopt;
        number = std::ldexp(number, 10 * (static_cast<int>(power) + 1));
    }
    constexpr double most = 9223372036854774784.0;  // the largest double below 2^63
    if (number > most) return std::nullopt;
    return static_cast<std::int64_t>(number);
}

UpdateOptions parse_update(Walker& walker) {
    UpdateOptions update;
    const auto options = options_into(update);
    for (std::string name; walker.next_option(name);) {
        if (name == "-r" || name == "--resources") {
            update.resources_file = walker.value();
            continue;
        }
        bool known = false;
        for (const auto& option : options) {
            if (name != option.name) continue;
            known = true;
            const std::string text = walker.value();
            if (!text.empty()) option.set(walker, name, text);
        }
        if (!known) walker.unknown();
    }
    walker.need_exactly(1);
    update.id = walker.arguments()[0];
    // The references of options_into() end here; what comes back is a plain value.
    return update;
}

}  // namespace locald::shim
