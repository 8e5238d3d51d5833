#include "core/oci/seccomp_profile.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/seccomp_calls.hpp"

namespace locald::oci {

namespace {

constexpr const char* allow = "SCMP_ACT_ALLOW";
constexpr const char* refuse = "SCMP_ACT_ERRNO";
// Linux numbers: the profile is for the kernel of the container, not for the host that writes it.
constexpr std::uint32_t eperm = 1, enosys = 38, eafnosupport = 97;

/// The bits of sched.h that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (NEWTIME shares
/// its bit with the exit signal and is for clone3 and unshare alone.)
constexpr std::uint64_t namespace_bits[] = {0x00020000, 0x02000000, 0x04000000, 0x08000000,
                                            0x10000000, 0x20000000, 0x40000000};
constexpr std::uint64_t all_namespace_bits = 0x7E020000;

constexpr std::uint64_t af_alg = 38, af_vsock = 40, last_family = 45;

std::vector<std::string> own_architectures(const std::string& architecture) {
    if (architecture == "amd64") return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
    if (architecture == "arm64") return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
    if (architecture == "386") return {"SCMP_ARCH_X86"};
    if (architecture == "arm") return {"SCMP_ARCH_ARM"};
    if (architecture == "riscv64") return {"SCMP_ARCH_RISCV64"};
    if (architecture == "ppc64le") return {"SCMP_ARCH_PPC64LE"};
    if (architecture == "s390x") return {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"};
    return {};  // the runtime takes its own
}

void add_words(std::vector<std::string>& list, std::string_view text) {
    for (const auto word : split(text, ' ')) list.emplace_back(word);
}

SeccompRule allowed(std::vector<std::string> names, std::vector<SeccompArg> args = {}) {
    SeccompRule rule;
    rule.names = std::move(names);
    rule.action = allow;
    rule.args = std::move(args);
    return rule;
}

SeccompRule refused(std::vector<std::string> names, std::uint32_t err, std::vector<SeccompArg> args = {}) {
    SeccompRule rule = allowed(std::move(names), std::move(args));
    rule.action = refuse;
    rule.errno_ret = err;
    return rule;
}

SeccompArg argument(std::uint32_t index, const char* op, std::uint64_t value, std::uint64_t value_two = 0) {
    SeccompArg arg;
    arg.index = index;
    arg.value = value;
    arg.value_two = value_two;
    arg.op = op;
    return arg;
}

/// Every family but AF_ALG and AF_VSOCK, whose sockets reach the kernel's ciphers and the hypervisor. Each comparison
/// is over all 64 bits while the kernel looks at the lower 32, so "not 38" would let 0x100000026 pass.
void add_socket(std::vector<SeccompRule>& rules) {
    rules.push_back(allowed({"socket"}, {argument(0, "SCMP_CMP_LT", af_alg)}));
    for (std::uint64_t family = af_alg + 1; family <= last_family; ++family) {
        if (family != af_vsock) rules.push_back(allowed({"socket"}, {argument(0, "SCMP_CMP_EQ", family)}));
    }
    for (const std::uint64_t family : {af_alg, af_vsock}) {
        rules.push_back(refused({"socket"}, eafnosupport, {argument(0, "SCMP_CMP_EQ", family)}));
    }
}

/// Threads and processes, but no new namespaces.
void add_clone(std::vector<SeccompRule>& rules, std::uint32_t flags_index) {
    rules.push_back(allowed({"clone"}, {argument(flags_index, "SCMP_CMP_MASKED_EQ", all_namespace_bits, 0)}));
    for (const std::uint64_t bit : namespace_bits) {
        rules.push_back(refused({"clone"}, eperm, {argument(flags_index, "SCMP_CMP_MASKED_EQ", bit, bit)}));
    }
    // Its flags lie in memory, where no filter sees them; C libraries take ENOSYS as "use clone".
    rules.push_back(refused({"clone3"}, enosys));
}

/// personality(2): PER_LINUX, PER_LINUX32, both with UNAME26, and the question for the current one.
void add_personality(std::vector<SeccompRule>& rules) {
    for (const std::uint64_t value : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL}) {
        rules.push_back(allowed({"personality"}, {argument(0, "SCMP_CMP_EQ", value)}));
    }
}

}  // namespace

Seccomp default_seccomp(const std::vector<std::string>& capabilities) {
    const auto holds = [&capabilities](std::string_view name) {
        return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
    };
    std::vector<std::string> open;
    std::vector<std::string> closed;
    add_words(open, harmless_calls());
    add_words(closed, refused_calls());
    for (const auto& gate : gated_calls()) {
        const auto holders = split(gate.capabilities, ' ');
        add_words(std::any_of(holders.begin(), holders.end(), holds) ? open : closed, gate.names);
    }
    const bool may_unshare = holds("CAP_SYS_ADMIN");
    if (may_unshare) open.insert(open.end(), {"clone", "clone3"});

    const std::string architecture = host_platform().architecture;
    Seccomp profile;
    profile.default_action = refuse;
    // A call that is in no list is newer than the list: ENOSYS keeps the fallbacks of C libraries working.
    profile.default_errno_ret = enosys;
    profile.architectures = own_architectures(architecture);
    profile.syscalls.push_back(allowed(std::move(open)));
    profile.syscalls.push_back(refused(std::move(closed), eperm));
    add_personality(profile.syscalls);
    add_socket(profile.syscalls);
    if (!may_unshare) add_clone(profile.syscalls, architecture == "s390x" ? 1 : 0);
    return profile;
}

}  // namespace locald::oci
