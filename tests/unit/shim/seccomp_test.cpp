#include "shim/seccomp/seccomp.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::HasSubstr;

/// The answer of a classic BPF program of seccomp to one call, computed here: the instructions libseccomp and the
/// prefix use.
std::uint32_t answer(const SeccompFilter& filter, std::uint32_t arch, std::uint32_t number,
                     std::uint64_t argument = 0) {
    std::vector<sock_filter> code(filter.program.size());
    std::memcpy(code.data(), filter.program.data(), filter.program.size() * sizeof(sock_filter));
    seccomp_data data{};
    data.arch = arch;
    data.nr = static_cast<int>(number);
    data.args[0] = argument;
    std::uint32_t acc = 0;
    for (std::size_t at = 0;; ++at) {
        if (at >= code.size()) throw std::runtime_error("ran off the end");
        const sock_filter& insn = code[at];
        const auto choose = [&](bool yes) { at += yes ? insn.jt : insn.jf; };
        switch (insn.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                std::memcpy(&acc, reinterpret_cast<const char*>(&data) + insn.k, sizeof acc);
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                choose(acc == insn.k);
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                choose(acc > insn.k);
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                choose(acc >= insn.k);
                break;
            case BPF_JMP | BPF_JA:
                at += insn.k;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                acc &= insn.k;
                break;
            case BPF_RET | BPF_K:
                return insn.k;
            default:
                throw std::runtime_error("an unexpected instruction");
        }
    }
}

oci::Seccomp allow_list(std::vector<std::string> names) {
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ERRNO";
    oci::SeccompRule rule;
    rule.names = std::move(names);
    rule.action = "SCMP_ACT_ALLOW";
    profile.syscalls.push_back(rule);
    return profile;
}

oci::Seccomp deny(std::string name, std::string action, std::optional<std::uint32_t> ret = {}) {
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ALLOW";
    oci::SeccompRule rule;
    rule.names = {std::move(name)};
    rule.action = std::move(action);
    rule.errno_ret = ret;
    profile.syscalls.push_back(rule);
    return profile;
}

std::string message(const oci::Seccomp& profile) {
    try {
        check_seccomp(profile);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

/// What a child exits with after it loaded the filter and did `body`.
template <class Body>
int in_child(const oci::Seccomp& profile, Body body) {
    const auto filter = compile_seccomp(profile, "");
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        load_seccomp(filter);
        ::_exit(body());
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(SeccompLoaded, AnswersWithTheErrnoOfTheRule) {
    const auto errno_of_getppid = [] { return ::syscall(SYS_getppid) < 0 ? errno : 0; };
    EXPECT_EQ(in_child(deny("getppid", "SCMP_ACT_ERRNO", 42), errno_of_getppid), 42);
    EXPECT_EQ(in_child(deny("getppid", "SCMP_ACT_ERRNO"), errno_of_getppid), EPERM);
    EXPECT_EQ(in_child(deny("getpgrp", "SCMP_ACT_ERRNO"), errno_of_getppid), 0);
}

TEST(SeccompLoaded, KillsWhereTheRuleSaysSo) {
    EXPECT_EQ(
        in_child(deny("getppid", "SCMP_ACT_KILL_PROCESS"), [] { return static_cast<int>(::syscall(SYS_getppid)) & 1; }),
        128 + SIGSYS);
}

TEST(SeccompLoaded, ComparesArguments) {
    auto profile = deny("personality", "SCMP_ACT_ERRNO", 7);
    profile.syscalls[0].args = {{0, 0xffffffffULL, 0, "SCMP_CMP_NE"}};
    EXPECT_EQ(in_child(profile, [] { return ::syscall(SYS_personality, 0xffffffffUL) < 0 ? errno : 0; }), 0);
    EXPECT_EQ(in_child(profile, [] { return ::syscall(SYS_personality, 0UL) < 0 ? errno : 0; }), 7);
}

TEST(SeccompLoaded, GivesAListenerWhenARuleNotifies) {
    auto profile = deny("getppid", "SCMP_ACT_NOTIFY");
    profile.listener_path = "/run/agent";
    const auto filter = compile_seccomp(profile, "");
    EXPECT_TRUE(filter.notify);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        ::_exit(load_seccomp(filter).get() >= 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(SeccompLoaded, TakesTheFlagsOfTheSpec) {
    auto profile = deny("getppid", "SCMP_ACT_ERRNO", 5);
    profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
    EXPECT_EQ(in_child(profile, [] { return ::syscall(SYS_getppid) < 0 ? errno : 0; }), 5);
}

#ifdef __x86_64__
constexpr std::uint32_t x86_64 = AUDIT_ARCH_X86_64, i386 = AUDIT_ARCH_I386, x32_bit = 1U << 30U;

TEST(SeccompEnosys, IsTheAnswerAboveTheHighestNumberOfTheProfile) {
    const auto filter = compile_seccomp(allow_list({"read", "statx"}), "");
    EXPECT_EQ(answer(filter, x86_64, SYS_read), SECCOMP_RET_ALLOW);
    EXPECT_EQ(answer(filter, x86_64, SYS_statx), SECCOMP_RET_ALLOW);
    EXPECT_EQ(answer(filter, x86_64, SYS_write), SECCOMP_RET_ERRNO | EPERM);
    EXPECT_EQ(answer(filter, x86_64, SYS_statx + 1), SECCOMP_RET_ERRNO | ENOSYS);
    EXPECT_EQ(answer(filter, x86_64, 5000), SECCOMP_RET_ERRNO | ENOSYS);
}

TEST(SeccompEnosys, HasANumberOfItsOwnForEachArchitecture) {
    auto profile = allow_list({"read", "statx"});
    profile.architectures = {"SCMP_ARCH_X86", "SCMP_ARCH_X32"};
    const auto filter = compile_seccomp(profile, "");
    constexpr std::uint32_t statx_i386 = 383;
    EXPECT_EQ(answer(filter, i386, 3), SECCOMP_RET_ALLOW);
    EXPECT_EQ(answer(filter, i386, statx_i386), SECCOMP_RET_ALLOW);
    EXPECT_EQ(answer(filter, i386, statx_i386 + 1), SECCOMP_RET_ERRNO | ENOSYS);
    EXPECT_EQ(answer(filter, x86_64, SYS_statx + 1), SECCOMP_RET_ERRNO | ENOSYS);
    EXPECT_EQ(answer(filter, x86_64, SYS_statx | x32_bit), SECCOMP_RET_ALLOW);
    EXPECT_EQ(answer(filter, x86_64, SYS_write | x32_bit), SECCOMP_RET_ERRNO | EPERM);
    EXPECT_EQ(answer(filter, x86_64, (SYS_statx + 1) | x32_bit), SECCOMP_RET_ERRNO | ENOSYS);
}

TEST(SeccompEnosys, LeavesForeignArchitecturesToTheFilter) {
    const auto filter = compile_seccomp(allow_list({"read", "statx"}), "");
    EXPECT_EQ(answer(filter, i386, 5000), SECCOMP_RET_KILL_THREAD);
    EXPECT_EQ(answer(filter, x86_64, 5000 | x32_bit), SECCOMP_RET_KILL_THREAD);
}

TEST(SeccompEnosys, IsLeftOutWhereTheDefaultLetsThroughOrSaysEnosysItself) {
    EXPECT_EQ(answer(compile_seccomp(deny("getppid", "SCMP_ACT_ERRNO"), ""), x86_64, 5000), SECCOMP_RET_ALLOW);
    auto profile = allow_list({"read"});
    profile.default_errno_ret = ENOSYS;
    const auto filter = compile_seccomp(profile, "");
    EXPECT_EQ(answer(filter, x86_64, SYS_write), SECCOMP_RET_ERRNO | ENOSYS);
    EXPECT_EQ(answer(filter, x86_64, 5000), SECCOMP_RET_ERRNO | ENOSYS);
}

TEST(SeccompRules, MayCompareOneArgumentTwiceAndThenEitherCounts) {
    auto profile = deny("socket", "SCMP_ACT_ERRNO", 9);
    profile.syscalls[0].args = {{0, 16, 0, "SCMP_CMP_EQ"}, {0, 40, 0, "SCMP_CMP_EQ"}};
    const auto filter = compile_seccomp(profile, "");
    EXPECT_EQ(answer(filter, x86_64, SYS_socket, 16), SECCOMP_RET_ERRNO | 9U);
    EXPECT_EQ(answer(filter, x86_64, SYS_socket, 40), SECCOMP_RET_ERRNO | 9U);
    EXPECT_EQ(answer(filter, x86_64, SYS_socket, 1), SECCOMP_RET_ALLOW);
}

TEST(SeccompRules, PassOverCallsNobodyKnowsAndRulesThatChangeNothing) {
    auto profile = allow_list({"read", "no_such_call_ever"});
    oci::SeccompRule same;
    same.names = {"write"};
    same.action = "SCMP_ACT_ERRNO";
    profile.syscalls.push_back(same);
    const auto filter = compile_seccomp(profile, "");
    EXPECT_EQ(answer(filter, x86_64, SYS_read), SECCOMP_RET_ALLOW);
}
#endif

TEST(SeccompProfile, IsRefusedByTheNameOfItsField) {
    EXPECT_THAT(message(deny("getppid", "SCMP_ACT_NO")), HasSubstr("linux.seccomp.syscalls[0].action: unknown action"));
    EXPECT_THAT(message(deny("getppid", "SCMP_ACT_ALLOW", 3)), HasSubstr("takes no errnoRet"));
    EXPECT_THAT(message(deny("getppid", "SCMP_ACT_ERRNO", 5000)), HasSubstr("expected 0..4095"));
    auto profile = deny("getppid", "SCMP_ACT_ERRNO");
    profile.syscalls[0].names.clear();
    EXPECT_THAT(message(profile), HasSubstr("needs at least one entry"));
    profile = deny("getppid", "SCMP_ACT_ERRNO");
    profile.syscalls[0].args = {{6, 0, 0, "SCMP_CMP_EQ"}};
    EXPECT_THAT(message(profile), HasSubstr("index: expected 0..5, got 6"));
    profile.syscalls[0].args = {{0, 0, 0, "SCMP_CMP_SAME"}};
    EXPECT_THAT(message(profile), HasSubstr("unknown operator"));
    profile = allow_list({"read"});
    profile.architectures = {"SCMP_ARCH_PDP11"};
    EXPECT_THAT(message(profile), HasSubstr("unknown architecture"));
    profile = allow_list({"read"});
    profile.flags = {"SECCOMP_FILTER_FLAG_X"};
    EXPECT_THAT(message(profile), HasSubstr("unknown flag"));
}

TEST(SeccompProfile, MayNotifyNeitherByDefaultNorForWriteNorNobody) {
    auto profile = allow_list({"read"});
    profile.default_action = "SCMP_ACT_NOTIFY";
    EXPECT_THAT(message(profile), HasSubstr("defaultAction"));
    profile = deny("write", "SCMP_ACT_NOTIFY");
    EXPECT_THAT(message(profile), HasSubstr("needs listenerPath"));
    profile.listener_path = "/run/agent";
    EXPECT_THAT(message(profile), HasSubstr("cannot be used for write"));
    profile = allow_list({"read"});
    profile.listener_metadata = "x";
    EXPECT_THAT(message(profile), HasSubstr("needs listenerPath"));
}

class SeccompCached : public ::testing::Test {
protected:
    std::string dir() const { return temp_ / "cache"; }
    std::vector<std::string> entries() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(dir())) names.push_back(entry.path());
        return names;
    }
    testing::TempDir temp_;
};

TEST_F(SeccompCached, GivesTheSameProgramAgain) {
    const auto first = compile_seccomp(allow_list({"read", "statx"}), dir());
    ASSERT_EQ(entries().size(), 1U);
    EXPECT_EQ(compile_seccomp(allow_list({"read", "statx"}), dir()).program, first.program);
    EXPECT_EQ(compile_seccomp(allow_list({"read", "statx"}), "").program, first.program);
    EXPECT_NE(compile_seccomp(allow_list({"read"}), dir()).program, first.program);
}

TEST_F(SeccompCached, IsReallyRead) {
    // An entry changed with its checksums made right again would be used: so the file is what answers.
    const auto first = compile_seccomp(allow_list({"read"}), dir());
    const auto before = std::filesystem::last_write_time(entries().front());
    compile_seccomp(allow_list({"read"}), dir());
    EXPECT_EQ(std::filesystem::last_write_time(entries().front()), before);
}

TEST_F(SeccompCached, IgnoresATornOrChangedEntry) {
    const auto good = compile_seccomp(allow_list({"read", "statx"}), dir());
    const std::string entry = entries().front();
    const auto size = std::filesystem::file_size(entry);
    for (const std::uintmax_t offset : {std::uintmax_t{0}, std::uintmax_t{12}, size / 2, size - 1}) {
        std::fstream file(entry, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(offset));
        const int byte = file.get();
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(static_cast<char>(byte ^ 0x55));
        file.close();
        EXPECT_EQ(compile_seccomp(allow_list({"read", "statx"}), dir()).program, good.program) << offset;
    }
    for (const std::uintmax_t length : {std::uintmax_t{0}, std::uintmax_t{7}, size - 8}) {
        std::filesystem::resize_file(entry, length);
        EXPECT_EQ(compile_seccomp(allow_list({"read", "statx"}), dir()).program, good.program) << length;
    }
    EXPECT_EQ(entries().size(), 1U);
}

TEST_F(SeccompCached, DoesNotUseADirectoryOthersMayEnter) {
    ASSERT_EQ(::mkdir(dir().c_str(), 0755), 0);
    ASSERT_EQ(::chmod(dir().c_str(), 0755), 0);
    compile_seccomp(allow_list({"read"}), dir());
    EXPECT_TRUE(entries().empty());
}

TEST_F(SeccompCached, DoesNotFollowALink) {
    ASSERT_EQ(::mkdir((temp_ / "real").c_str(), 0700), 0);
    ASSERT_EQ(::symlink((temp_ / "real").c_str(), dir().c_str()), 0);
    compile_seccomp(allow_list({"read"}), dir());
    EXPECT_TRUE(std::filesystem::is_empty(temp_ / "real"));
}

}  // namespace
}  // namespace locald::shim
