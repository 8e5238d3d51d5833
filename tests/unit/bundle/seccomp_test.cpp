#include <map>
#include <set>

#include "core/oci/seccomp_profile.hpp"
#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using oci::default_seccomp;
using ::testing::ElementsAre;

/// What the profile answers to a call whose arguments do not matter.
std::string answer(const oci::Seccomp& profile, const std::string& name) {
    for (const auto& rule : profile.syscalls) {
        if (!rule.args.empty()) continue;
        if (std::find(rule.names.begin(), rule.names.end(), name) == rule.names.end()) continue;
        if (rule.action == "SCMP_ACT_ALLOW") return "allow";
        return std::to_string(rule.errno_ret.value_or(0));
    }
    return std::to_string(profile.default_errno_ret.value_or(0));
}

bool matches(const oci::SeccompArg& arg, std::uint64_t value) {
    if (arg.op == "SCMP_CMP_EQ") return value == arg.value;
    if (arg.op == "SCMP_CMP_LT") return value < arg.value;
    if (arg.op == "SCMP_CMP_MASKED_EQ") return (value & arg.value) == arg.value_two;
    ADD_FAILURE() << "operator " << arg.op;
    return false;
}

/// The same for a call that is judged by its first argument. Rules must not contradict each other, since runtimes put
/// them in an order of their own.
std::string answer(const oci::Seccomp& profile, const std::string& name, std::uint64_t first) {
    std::set<std::string> answers;
    for (const auto& rule : profile.syscalls) {
        if (rule.args.empty() || rule.names != std::vector<std::string>{name}) continue;
        EXPECT_EQ(rule.args.size(), 1U);
        if (!matches(rule.args.front(), first)) continue;
        answers.insert(rule.action == "SCMP_ACT_ALLOW" ? "allow" : std::to_string(rule.errno_ret.value_or(0)));
    }
    EXPECT_LE(answers.size(), 1U) << name << " " << first;
    return answers.empty() ? std::to_string(profile.default_errno_ret.value_or(0)) : *answers.begin();
}

TEST(Seccomp, AllowsWhatProgramsNeed) {
    const auto profile = default_seccomp(default_capabilities());
    for (const char* name :
         {"read", "write", "execve", "exit_group", "futex", "mmap", "openat2", "statx", "rseq", "chroot", "ptrace",
          "epoll_pwait2", "futex_waitv", "landlock_create_ruleset", "fchmodat2", "mseal"}) {
        EXPECT_EQ(answer(profile, name), "allow") << name;
    }
}

TEST(Seccomp, AnswersNewCallsAsAnOldKernelWould) {
    const auto profile = default_seccomp(default_capabilities());
    EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
    EXPECT_EQ(answer(profile, "a_call_of_the_future"), "38");
    EXPECT_EQ(answer(profile, "clone3"), "38");
}

struct GateCase {
    const char* capability;
    std::vector<std::string> names;
};

class SeccompGates : public ::testing::TestWithParam<GateCase> {};

TEST_P(SeccompGates, OpenForTheirCapabilityAlone) {
    const auto without = default_seccomp({});
    const auto with = default_seccomp({GetParam().capability});
    for (const auto& name : GetParam().names) {
        EXPECT_EQ(answer(without, name), "1") << name;
        EXPECT_EQ(answer(with, name), "allow") << name;
    }
}

INSTANTIATE_TEST_SUITE_P(
    All, SeccompGates,
    ::testing::Values(GateCase{"CAP_SYS_ADMIN",
                               {"mount", "umount2", "fsopen", "move_mount", "mount_setattr", "setns", "unshare", "bpf",
                                "perf_event_open", "pivot_root", "sethostname", "syslog"}},
                      GateCase{"CAP_BPF", {"bpf"}}, GateCase{"CAP_PERFMON", {"perf_event_open"}},
                      GateCase{"CAP_SYSLOG", {"syslog"}}, GateCase{"CAP_SYS_PTRACE", {"kcmp", "pidfd_getfd"}},
                      GateCase{"CAP_SYS_MODULE", {"init_module", "finit_module", "delete_module"}},
                      GateCase{"CAP_SYS_TIME", {"settimeofday", "clock_settime"}},
                      GateCase{"CAP_SYS_RAWIO", {"iopl", "ioperm"}}, GateCase{"CAP_SYS_CHROOT", {"chroot"}},
                      GateCase{"CAP_SYS_NICE", {"mbind", "set_mempolicy", "get_mempolicy"}},
                      GateCase{"CAP_SYS_TTY_CONFIG", {"vhangup"}}, GateCase{"CAP_SYS_PACCT", {"acct"}},
                      GateCase{"CAP_SYS_BOOT", {"reboot"}}, GateCase{"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}}),
    [](const auto& one) { return std::string(one.param.capability); });

TEST(Seccomp, RefusesSomeCallsWhateverTheCapabilities) {
    Build build;
    build.options.cap_add = {"ALL"};
    const auto profile = *build.run().spec.linux_->seccomp;
    for (const char* name : {"io_uring_setup", "io_uring_enter", "keyctl", "add_key", "kexec_load", "userfaultfd"}) {
        EXPECT_EQ(answer(profile, name), "1") << name;
    }
    EXPECT_EQ(answer(profile, "clone3"), "allow");
    EXPECT_EQ(answer(profile, "clone"), "allow");
}

TEST(Seccomp, FollowsTheBoundingSetAndNotTheUser) {
    Build build;
    build.options.user = "5";
    build.options.cap_add = {"SYS_TIME"};
    EXPECT_EQ(answer(*build.run().spec.linux_->seccomp, "settimeofday"), "allow");
}

TEST(Seccomp, LetsCloneMakeNoNamespaces) {
    const auto profile = default_seccomp(default_capabilities());
    constexpr std::uint64_t thread_flags = 0x3d0f00, vfork_flags = 0x4111;
    EXPECT_EQ(answer(profile, "clone", thread_flags), "allow");
    EXPECT_EQ(answer(profile, "clone", vfork_flags), "allow");
    for (const std::uint64_t bit :
         {0x20000U, 0x2000000U, 0x4000000U, 0x8000000U, 0x10000000U, 0x20000000U, 0x40000000U}) {
        EXPECT_EQ(answer(profile, "clone", bit | 17U), "1") << std::hex << bit;
    }
    EXPECT_EQ(answer(profile, "clone", 0x10020000U), "1");
}

TEST(Seccomp, LetsSocketsReachEverythingButCiphersAndTheHypervisor) {
    const auto profile = default_seccomp(default_capabilities());
    for (std::uint64_t family = 0; family <= 45; ++family) {
        EXPECT_EQ(answer(profile, "socket", family), family == 38 || family == 40 ? "97" : "allow") << family;
    }
}

// The kernel looks at the lower 32 bits alone, a filter at all 64.
TEST(Seccomp, IsNotFooledByTheUpperHalfOfASocketFamily) {
    const auto profile = default_seccomp(default_capabilities());
    EXPECT_NE(answer(profile, "socket", 0x100000026U), "allow");
    EXPECT_NE(answer(profile, "socket", 0xffffffff00000028U), "allow");
}

TEST(Seccomp, KnowsThePersonalitiesThatAreHarmless) {
    const auto profile = default_seccomp(default_capabilities());
    for (const std::uint64_t value : {0x0U, 0x8U, 0x20000U, 0x20008U, 0xffffffffU}) {
        EXPECT_EQ(answer(profile, "personality", value), "allow");
    }
    EXPECT_NE(answer(profile, "personality", 0x40000U), "allow");
}

TEST(Seccomp, NamesEveryCallOnce) {
    for (const auto& capabilities : {std::vector<std::string>{}, default_capabilities()}) {
        std::map<std::string, int> count;
        const auto profile = default_seccomp(capabilities);
        for (const auto& rule : profile.syscalls) {
            if (rule.args.empty()) {
                for (const auto& name : rule.names) ++count[name];
            }
        }
        for (const auto& rule : profile.syscalls) {
            if (!rule.args.empty()) {
                EXPECT_FALSE(count.contains(rule.names.front())) << rule.names.front();
            }
        }
        for (const auto& [name, times] : count) EXPECT_EQ(times, 1) << name;
    }
}

TEST(Seccomp, CoversTheArchitecturesOfThisKernel) {
    const auto architectures = default_seccomp({}).architectures;
    if (oci::host_platform().architecture == "amd64") {
        EXPECT_THAT(architectures, ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
    } else if (oci::host_platform().architecture == "arm64") {
        EXPECT_THAT(architectures, ElementsAre("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"));
    }
}

}  // namespace
}  // namespace locald::bundle
