#include <algorithm>
#include <array>
#include <limits>

#include "core/base/error.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

constexpr std::array<std::string_view, 16> limit_names{
    "RLIMIT_AS",      "RLIMIT_CORE",     "RLIMIT_CPU",        "RLIMIT_DATA",   "RLIMIT_FSIZE", "RLIMIT_LOCKS",
    "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",       "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
    "RLIMIT_RTPRIO",  "RLIMIT_RTTIME",   "RLIMIT_SIGPENDING", "RLIMIT_STACK"};

/// docker's floor: below it not even the first process starts.
constexpr std::int64_t least_memory = 6 << 20;
constexpr std::int64_t least_quota_us = 1000;  // the kernel's
constexpr std::uint64_t period_us = 100'000;

oci::DeviceRule rule(bool allow, const char* type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                     const char* access) {
    oci::DeviceRule one;
    one.allow = allow;
    one.type = type;
    one.major = major;
    one.minor = minor;
    one.access = access;
    return one;
}

std::vector<oci::DeviceRule> device_rules() {
    constexpr std::nullopt_t any = std::nullopt;
    return {
        rule(false, "a", any, any, "rwm"),
        rule(true, "c", any, any, "m"),    // mknod alone: to open one needs a rule of its own
        rule(true, "b", any, any, "m"),    //
        rule(true, "c", 1, 3, "rwm"),      // null
        rule(true, "c", 1, 5, "rwm"),      // zero
        rule(true, "c", 1, 7, "rwm"),      // full
        rule(true, "c", 1, 8, "rwm"),      // random
        rule(true, "c", 1, 9, "rwm"),      // urandom
        rule(true, "c", 5, 0, "rwm"),      // tty
        rule(true, "c", 5, 1, "rwm"),      // console
        rule(true, "c", 5, 2, "rwm"),      // ptmx
        rule(true, "c", 136, any, "rwm"),  // pts/*
    };
}

}  // namespace

std::vector<oci::Rlimit> make_rlimits(const RunOptions& options) {
    std::vector<oci::Rlimit> limits;
    for (const auto& wanted : options.ulimits) {
        if (std::find(limit_names.begin(), limit_names.end(), wanted.type) == limit_names.end()) {
            throw Error(ErrorKind::invalid, "ulimit " + wanted.type + ": no such limit")
                .with_remedy("take a name of getrlimit(2), such as nofile or nproc");
        }
        if (wanted.soft > wanted.hard) {
            throw Error(ErrorKind::invalid, "ulimit " + wanted.type + ": the soft limit " +
                                                std::to_string(wanted.soft) + " is above the hard limit " +
                                                std::to_string(wanted.hard));
        }
        // The last of a name wins; two would be an error for the runtime.
        std::erase_if(limits, [&](const oci::Rlimit& one) { return one.type == wanted.type; });
        limits.push_back({wanted.type, wanted.soft, wanted.hard});
    }
    return limits;
}

oci::Resources make_resources(const RunOptions& options) {
    oci::Resources resources;
    resources.devices = device_rules();
    if (const auto limit = options.memory_bytes.value_or(0); limit != 0) {
        if (limit < least_memory || limit > std::numeric_limits<std::int64_t>::max() / 2) {
            throw Error(ErrorKind::invalid,
                        "memory limit of " + std::to_string(limit) + " bytes: expected at least 6 MiB");
        }
        resources.memory.emplace();
        resources.memory->limit = limit;
        resources.memory->swap = 2 * limit;  // memory and swap together
    }
    if (const auto quota = options.cpu_quota_us.value_or(0); quota != 0) {
        if (quota < least_quota_us) {
            throw Error(ErrorKind::invalid, "cpu limit of " + std::to_string(quota) +
                                                " µs in 100000 µs: expected at least 1000 (--cpus 0.01)");
        }
        resources.cpu.emplace();
        resources.cpu->quota = quota;
        resources.cpu->period = period_us;
    }
    if (const auto limit = options.pids_limit.value_or(0); limit != 0) {
        if (limit < -1)
            throw Error(ErrorKind::invalid, "pids limit " + std::to_string(limit) + ": expected -1 or more");
        // "No limit" asks for nothing, so it must not need the cgroup that an ordinary user may lack.
        if (limit > 0) resources.pids_limit = limit;
    }
    return resources;
}

}  // namespace locald::bundle::parts
