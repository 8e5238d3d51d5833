#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

struct Named {
    std::string_view name;
    unsigned value;
};

template <std::size_t N>
const Named* find(const std::array<Named, N>& table, std::string_view name) {
    for (const auto& entry : table) {
        if (entry.name == name) return &entry;
    }
    return nullptr;
}

constexpr std::array policies{
    Named{"SCHED_OTHER", SCHED_NORMAL},
    Named{"SCHED_FIFO", SCHED_FIFO},
    Named{"SCHED_RR", SCHED_RR},
    Named{"SCHED_BATCH", SCHED_BATCH},
    Named{"SCHED_IDLE", SCHED_IDLE},
    Named{"SCHED_DEADLINE", SCHED_DEADLINE},
    Named{"SCHED_ISO", 4},  // reserved by the kernel and not implemented: it answers EINVAL
};

constexpr std::array scheduler_flags{
    Named{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    Named{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    Named{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    Named{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    Named{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    Named{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    Named{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

// ioprio_set(2): the header <linux/ioprio.h> has been no C++ since Linux 6.5 (a parameter is named `class`), and
// Debian's security updates bring that to 6.1.
constexpr std::array io_classes{
    Named{"IOPRIO_CLASS_RT", 1},
    Named{"IOPRIO_CLASS_BE", 2},
    Named{"IOPRIO_CLASS_IDLE", 3},
};
constexpr unsigned ioprio_class_shift = 13;
constexpr int ioprio_who_process = 1;

// MPOL_WEIGHTED_INTERLEAVE (6) is newer than the oldest headers we build with.
constexpr std::array memory_modes{
    Named{"MPOL_DEFAULT", MPOL_DEFAULT},       Named{"MPOL_PREFERRED", MPOL_PREFERRED}, Named{"MPOL_BIND", MPOL_BIND},
    Named{"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, Named{"MPOL_LOCAL", MPOL_LOCAL},         Named{"MPOL_PREFERRED_MANY", 5},
    Named{"MPOL_WEIGHTED_INTERLEAVE", 6},
};

constexpr std::array memory_flags{
    Named{"MPOL_F_STATIC_NODES", 1U << 15U},
    Named{"MPOL_F_RELATIVE_NODES", 1U << 14U},
    Named{"MPOL_F_NUMA_BALANCING", 1U << 13U},
};

/// struct sched_attr of sched_setattr(2), which libc has no header for; the size tells the kernel its version.
struct SchedAttr {
    std::uint32_t size = sizeof(SchedAttr);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0, deadline = 0, period = 0;
    std::uint32_t util_min = 0, util_max = 0;  ///< without these the kernel refuses the flags for them (since 5.3)
};
static_assert(sizeof(SchedAttr) == 56);

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::invalid, what); }

SchedAttr scheduler_attr(const oci::Scheduler& config) {
    if (config.policy.empty()) refuse("process.scheduler: scheduler policy is required");
    const Named* policy = find(policies, config.policy);
    if (policy == nullptr) refuse("process.scheduler.policy: invalid scheduler policy: " + json_quote(config.policy));
    SchedAttr attr;
    attr.policy = policy->value;
    for (const auto& name : config.flags) {
        const Named* flag = find(scheduler_flags, name);
        if (flag == nullptr) refuse("process.scheduler.flags: invalid scheduler flag: " + json_quote(name));
        attr.flags |= flag->value;
    }
    if (config.priority.value_or(0) != 0 && attr.policy != SCHED_FIFO && attr.policy != SCHED_RR) {
        refuse("process.scheduler: scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    }
    const bool deadline =
        config.runtime.value_or(0) != 0 || config.deadline.value_or(0) != 0 || config.period.value_or(0) != 0;
    if (deadline && attr.policy != SCHED_DEADLINE) {
        refuse("process.scheduler: scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
    }
    attr.nice = config.nice.value_or(0);
    if (attr.nice < -20 || attr.nice > 19) {
        refuse("process.scheduler.nice: invalid scheduler nice value: " + std::to_string(attr.nice));
    }
    if (config.priority.value_or(0) < 0) {
        refuse("process.scheduler.priority: invalid priority " + std::to_string(*config.priority));
    }
    attr.priority = static_cast<std::uint32_t>(config.priority.value_or(0));
    attr.runtime = config.runtime.value_or(0);
    attr.deadline = config.deadline.value_or(0);
    attr.period = config.period.value_or(0);
    return attr;
}

unsigned io_priority_value(const oci::IoPriority& priority) {
    const Named* io_class = find(io_classes, priority.ioclass);
    if (io_class == nullptr) {
        refuse("process.ioPriority.class: invalid io priority class: " + json_quote(priority.ioclass));
    }
    if (priority.priority < 0 || priority.priority > 7) {
        refuse("process.ioPriority.priority: expected 0..7, got " + std::to_string(priority.priority));
    }
    return (io_class->value << ioprio_class_shift) | static_cast<unsigned>(priority.priority);
}

unsigned long personality_value(const oci::Personality& config) {
    // The spec reserves the flags and names none.
    if (!config.flags.empty()) refuse("linux.personality.flags: unknown flag " + json_quote(config.flags.front()));
    if (config.domain == "LINUX") return PER_LINUX;
    if (config.domain == "LINUX32") return PER_LINUX32;
    refuse("linux.personality.domain: expected LINUX or LINUX32, got " + json_quote(config.domain));
}

constexpr unsigned bits_per_word = sizeof(unsigned long) * CHAR_BIT;
constexpr unsigned most_nodes = 1024;  // MAX_NUMNODES of the largest kernel configurations

struct MemoryPolicyCall {
    unsigned mode = 0;
    std::array<unsigned long, most_nodes / bits_per_word> mask{};
    bool any = false;  ///< a node is named
};

MemoryPolicyCall parse_memory_policy(const oci::MemoryPolicy& config) {
    const Named* mode = find(memory_modes, config.mode);
    if (mode == nullptr) refuse("linux.memoryPolicy.mode: invalid memory policy mode " + json_quote(config.mode));
    MemoryPolicyCall call;
    call.mode = mode->value;
    for (const auto& name : config.flags) {
        const Named* flag = find(memory_flags, name);
        if (flag == nullptr) refuse("linux.memoryPolicy.flags: invalid memory policy flag " + json_quote(name));
        call.mode |= flag->value;
    }
    if (config.nodes.empty()) return call;
    const auto nodes = parse_id_list(config.nodes, most_nodes);
    if (nodes.empty()) refuse("linux.memoryPolicy.nodes: invalid memory policy nodes " + json_quote(config.nodes));
    for (const unsigned node : nodes) call.mask[node / bits_per_word] |= 1UL << (node % bits_per_word);
    call.any = true;
    return call;
}

template <std::size_t N>
std::vector<std::string> names_of(const std::array<Named, N>& table) {
    std::vector<std::string> names;
    for (const auto& entry : table) names.emplace_back(entry.name);
    return names;
}

}  // namespace

std::vector<std::string> memory_policy_modes() { return names_of(memory_modes); }
std::vector<std::string> memory_policy_flags() { return names_of(memory_flags); }

void check_scheduler(const oci::Scheduler& scheduler) { scheduler_attr(scheduler); }

void set_scheduler(const oci::Scheduler& scheduler) {
    SchedAttr attr = scheduler_attr(scheduler);
    if (::syscall(SYS_sched_setattr, 0, &attr, 0U) != 0) {
        const int err = errno;
        throw Error(kind_of_errno(err), "set process.scheduler " + scheduler.policy + ": " + errno_text(err), err)
            .with_remedy(err == EPERM ? "real-time policies and negative nice values take CAP_SYS_NICE on the host"
                                      : "check priority, nice and the deadline times against sched_setattr(2)");
    }
}

void check_io_priority(const oci::IoPriority& priority) { io_priority_value(priority); }

void set_io_priority(const oci::IoPriority& priority) {
    const unsigned value = io_priority_value(priority);
    if (::syscall(SYS_ioprio_set, ioprio_who_process, 0, value) != 0) {
        const int err = errno;
        throw Error(kind_of_errno(err), "set process.ioPriority " + priority.ioclass + ": " + errno_text(err), err)
            .with_remedy("IOPRIO_CLASS_RT takes CAP_SYS_ADMIN or CAP_SYS_NICE on the host");
    }
}

void check_personality(const oci::Personality& config) { personality_value(config); }

void set_personality(const oci::Personality& config) {
    if (::personality(personality_value(config)) < 0) throw_errno(errno, "set linux.personality ", config.domain);
}

std::vector<unsigned> parse_id_list(std::string_view text, unsigned most) {
    std::vector<unsigned> ids;
    std::vector<bool> taken(most);  // `0-1023,0-1023,…` asks for no more memory than once
    for (const auto part : split(text, ',')) {
        const auto range = trim(part);
        const auto dash = range.find('-');
        const auto first = parse_u64(range.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_u64(range.substr(dash + 1));
        if (!first || !last || *first > *last || *last >= most) return {};
        for (auto id = static_cast<unsigned>(*first); id <= *last; ++id) {
            if (!taken[id]) ids.push_back(id);
            taken[id] = true;
        }
    }
    return ids;
}

void check_memory_policy(const oci::MemoryPolicy& config) { parse_memory_policy(config); }

void set_memory_policy(const oci::MemoryPolicy& config) {
    const MemoryPolicyCall call = parse_memory_policy(config);
    // maxnode counts one bit more than it uses (set_mempolicy(2), BUGS).
    if (::syscall(SYS_set_mempolicy, call.mode, call.any ? call.mask.data() : nullptr, call.any ? most_nodes + 1 : 0) !=
        0) {
        const int err = errno;
        throw Error(
            kind_of_errno(err),
            "set linux.memoryPolicy " + config.mode + " nodes " + json_quote(config.nodes) + ": " + errno_text(err),
            err)
            .with_remedy(
                "the nodes must exist (/sys/devices/system/node/online) and be in the cpuset; some modes "
                "take none");
    }
}

}  // namespace locald::shim
