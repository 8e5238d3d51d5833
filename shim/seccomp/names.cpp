#include "shim/seccomp/names.hpp"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <array>
#include <iterator>
#include <string>
#include <vector>

#include "shim/seccomp/seccomp.hpp"

namespace locald::shim {

namespace {

// Newer than the oldest headers we build with.
#ifndef SCMP_ARCH_LOONGARCH64
#define SCMP_ARCH_LOONGARCH64 0xC0000102U
#endif
constexpr unsigned flag_wait_killable = 1U << 5U;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19

template <class T>
struct Named {
    std::string_view name;
    T value;
};

constexpr std::array actions{
    Named<SeccompAction>{"SCMP_ACT_KILL", {SCMP_ACT_KILL_THREAD, false}},
    Named<SeccompAction>{"SCMP_ACT_KILL_PROCESS", {SCMP_ACT_KILL_PROCESS, false}},
    Named<SeccompAction>{"SCMP_ACT_KILL_THREAD", {SCMP_ACT_KILL_THREAD, false}},
    Named<SeccompAction>{"SCMP_ACT_TRAP", {SCMP_ACT_TRAP, false}},
    Named<SeccompAction>{"SCMP_ACT_ERRNO", {SCMP_ACT_ERRNO(0), true}},
    Named<SeccompAction>{"SCMP_ACT_TRACE", {SCMP_ACT_TRACE(0), true}},
    Named<SeccompAction>{"SCMP_ACT_ALLOW", {SCMP_ACT_ALLOW, false}},
    Named<SeccompAction>{"SCMP_ACT_LOG", {SCMP_ACT_LOG, false}},
    Named<SeccompAction>{"SCMP_ACT_NOTIFY", {SCMP_ACT_NOTIFY, false}},
};

constexpr std::array operators{
    Named<int>{"SCMP_CMP_NE", SCMP_CMP_NE},
    Named<int>{"SCMP_CMP_LT", SCMP_CMP_LT},
    Named<int>{"SCMP_CMP_LE", SCMP_CMP_LE},
    Named<int>{"SCMP_CMP_EQ", SCMP_CMP_EQ},
    Named<int>{"SCMP_CMP_GE", SCMP_CMP_GE},
    Named<int>{"SCMP_CMP_GT", SCMP_CMP_GT},
    Named<int>{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

constexpr std::array architectures{
    Named<std::uint32_t>{"SCMP_ARCH_X86", SCMP_ARCH_X86},
    Named<std::uint32_t>{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    Named<std::uint32_t>{"SCMP_ARCH_X32", SCMP_ARCH_X32},
    Named<std::uint32_t>{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    Named<std::uint32_t>{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    Named<std::uint32_t>{"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    Named<std::uint32_t>{"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    Named<std::uint32_t>{"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    Named<std::uint32_t>{"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    Named<std::uint32_t>{"SCMP_ARCH_S390", SCMP_ARCH_S390},
    Named<std::uint32_t>{"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    Named<std::uint32_t>{"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    Named<std::uint32_t>{"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    Named<std::uint32_t>{"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    Named<std::uint32_t>{"SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64},
};

constexpr std::array flags{
    Named<unsigned>{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    Named<unsigned>{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    Named<unsigned>{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    Named<unsigned>{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", flag_wait_killable},
};

template <class Table>
auto find(const Table& table, std::string_view name) -> std::optional<decltype(table[0].value)> {
    for (const auto& entry : table) {
        if (entry.name == name) return entry.value;
    }
    return std::nullopt;
}

template <class Table>
std::vector<std::string> names_of(const Table& table) {
    std::vector<std::string> names;
    names.reserve(std::size(table));
    for (const auto& entry : table) names.emplace_back(entry.name);
    return names;
}

}  // namespace

std::optional<SeccompAction> seccomp_action(std::string_view name) { return find(actions, name); }
std::optional<int> seccomp_operator(std::string_view name) { return find(operators, name); }
std::optional<std::uint32_t> seccomp_architecture(std::string_view name) { return find(architectures, name); }
std::optional<unsigned> seccomp_flag(std::string_view name) { return find(flags, name); }

std::vector<std::string> seccomp_actions() { return names_of(actions); }
std::vector<std::string> seccomp_operators() { return names_of(operators); }
std::vector<std::string> seccomp_architectures() { return names_of(architectures); }
std::vector<std::string> seccomp_flags() { return names_of(flags); }

}  // namespace locald::shim
