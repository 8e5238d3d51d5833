#include "shim/container/hooks.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci::Hook shell(const std::string& script, std::vector<std::string> env = {}) {
    oci::Hook hook;
    hook.path = "/bin/sh";
    hook.args = {"sh", "-c", script};
    hook.env = std::move(env);
    return hook;
}

std::string slurp(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string failure(const std::vector<oci::Hook>& hooks, const std::string& state = "{}") {
    try {
        run_hooks(hooks, "createRuntime", state);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

TEST(Hooks, GetTheStateOnStdinHoweverLongItIs) {
    const testing::TempDir dir;
    const std::string state = "{\"id\":\"" + std::string(200000, 'x') + "\"}";
    run_hooks({shell("cat > " + (dir / "state"))}, "createRuntime", state);
    EXPECT_EQ(slurp(dir / "state"), state);
    EXPECT_EQ(failure({shell("exit 0")}, state), "no error");  // one that does not read it
}

TEST(Hooks, HaveTheirOwnEnvironmentAndNothingOfOurs) {
    const testing::TempDir dir;
    ::setenv("LOCALD_SECRET_OF_THE_RUNTIME", "1", 1);
    oci::Hook hook;
    hook.path = "/usr/bin/env";
    run_hooks({shell("/usr/bin/env > " + (dir / "env"), {"A=b", "C=d"})}, "createRuntime", "{}");
    const std::string env = slurp(dir / "env");
    EXPECT_THAT(env, AllOf(HasSubstr("A=b\n"), HasSubstr("C=d\n"), ::testing::Not(HasSubstr("SECRET"))));
}

TEST(Hooks, RunInOrderUntilOneFails) {
    const testing::TempDir dir;
    const std::string out = dir / "out";
    const std::string error =
        failure({shell("echo 1 >> " + out), shell("echo 2 >> " + out + "; echo said; echo wrong >&2; exit 3"),
                 shell("echo 3 >> " + out)});
    EXPECT_EQ(slurp(out), "1\n2\n");
    EXPECT_THAT(error,
                HasSubstr("error running createRuntime hook #1: /bin/sh: exit status 3, stdout: said, stderr: wrong"));
}

TEST(Hooks, ThatDoNotExistAreNamedWithTheKernelsWords) {
    oci::Hook hook;
    hook.path = "/no/such/hook";
    EXPECT_THAT(failure({hook}), HasSubstr("hook #0: exec /no/such/hook: No such file or directory"));
}

TEST(Hooks, GetTheirPathAsNameWhenTheyHaveNoArguments) {
    oci::Hook hook;
    hook.path = "/bin/true";
    EXPECT_EQ(failure({hook}), "no error");
}

TEST(Hooks, AreKilledWithAllTheyStartedPastTheirTimeout) {
    const testing::TempDir dir;
    auto hook = shell("sh -c 'sleep 3; touch " + (dir / "late") + "' & echo waiting; sleep 100");
    hook.timeout = 1;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(failure({hook}),
                AllOf(HasSubstr("hook ran past specified timeout of 1s"), HasSubstr("stdout: waiting")));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Hooks, ThatLeaveAProcessBehindDoNotHoldUsUp) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(failure({shell("sleep 20 & exit 0")}), "no error");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Hooks, MayTalkMoreThanFitsIntoAPipe) {
    EXPECT_THAT(
        failure({shell(
            "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; exit 1")}),
        HasSubstr("exit status 1"));
}

TEST(Hooks, StartWithDefaultSignalsEvenWhenWeIgnoreThem) {
    ::signal(SIGPIPE, SIG_IGN);
    EXPECT_THAT(failure({shell("kill -PIPE $$; exit 0")}), HasSubstr("signal: 13"));
    ::signal(SIGPIPE, SIG_DFL);
}

TEST(Hooks, SeeNoDescriptorsOfOurs) {
    constexpr int leaked = 77;  // without O_CLOEXEC, as a careless caller of the runtime hands one on
    ASSERT_EQ(::dup2(STDERR_FILENO, leaked), leaked);
    EXPECT_EQ(failure({shell("test ! -e /proc/self/fd/77")}), "no error");
    ::close(leaked);
}

TEST(ForgivingHooks, RunAllAndTurnFailuresIntoWarnings) {
    const testing::TempDir dir;
    std::vector<std::string> warnings;
    run_hooks_forgiving({shell("exit 1"), shell("touch " + (dir / "ran")), shell("exit 2")}, "poststop", "{}",
                        warnings);
    EXPECT_TRUE(std::filesystem::exists(dir / "ran"));
    EXPECT_THAT(warnings,
                ElementsAre(HasSubstr("error running poststop hook #0"), HasSubstr("error running poststop hook #2")));
}

}  // namespace
}  // namespace locald::shim
