#include "core/host/child_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::host {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

ChildOptions shell(const std::string& script) { return {.argv = {"/bin/sh", "-c", script}}; }

ErrorKind kind_of_start(const ChildOptions& options) {
    try {
        Child::start(options);
    } catch (const Error& e) {
        EXPECT_THAT(e.message(), HasSubstr(options.argv.at(0)));
        return e.kind();
    }
    ADD_FAILURE() << "it started";
    return ErrorKind::system;
}

TEST(Child, GivesTheExitCode) {
    Child child = Child::start(shell("exit 37"));
    EXPECT_EQ(child.wait(), (ExitStatus{37, 0}));
}

TEST(Child, GivesTheSignal) {
    Child child = Child::start(shell("kill -9 $$"));
    const auto status = child.wait();
    EXPECT_EQ(status, (ExitStatus{0, SIGKILL}));
    EXPECT_EQ(status.exit_code(), 137);
}

TEST(Child, AnswersASecondWaitTheSame) {
    Child child = Child::start(shell("exit 3"));
    child.wait();
    EXPECT_EQ(child.wait().code, 3);
    EXPECT_EQ(child.wait_for(0ms)->code, 3);
}

TEST(Child, SeesNothingOfOurEnvironment) {
    ::setenv("LOCALD_TEST_SECRET", "1", 1);
    auto options = shell("test -z \"$LOCALD_TEST_SECRET\" && test \"$A\" = b");
    options.env = {"A=b"};
    EXPECT_TRUE(Child::start(options).wait().ok());
}

TEST(Child, InheritsNoDescriptorThatWasNotNamed) {
    const int leaky = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a library of somebody else may do
    ASSERT_GE(leaky, 0);
    auto captured = run_and_capture({.argv = {"/bin/sh", "-c", "ls /proc/self/fd"}, .env = {"PATH=/bin:/usr/bin"}});
    ::close(leaky);
    EXPECT_EQ(captured.out, "0\n1\n2\n3\n");  // 3 is the directory that ls reads
}

TEST(Child, MapsHandlesThatTradePlaces) {
    std::array<int, 2> a{};
    std::array<int, 2> b{};
    ASSERT_EQ(::pipe2(a.data(), O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(b.data(), O_CLOEXEC), 0);
    auto options = shell("eval 'echo to-a >&'" + std::to_string(b[1]) + "; eval 'echo to-b >&'" + std::to_string(a[1]));
    options.handles = {{a[1], b[1]}, {b[1], a[1]}};
    EXPECT_TRUE(Child::start(options).wait().ok());
    std::array<char, 16> text{};
    EXPECT_EQ(::read(a[0], text.data(), text.size()), 5);
    EXPECT_EQ(std::string(text.data(), 4), "to-a");
    EXPECT_EQ(::read(b[0], text.data(), text.size()), 5);
    EXPECT_EQ(std::string(text.data(), 4), "to-b");
    for (const int fd : {a[0], a[1], b[0], b[1]}) ::close(fd);
}

TEST(Child, HasDevNullWhereNoStreamIsNamed) {
    EXPECT_TRUE(Child::start(shell("test /dev/fd/0 -ef /dev/null && test /dev/fd/1 -ef /dev/null")).wait().ok());
}

TEST(Child, StartsWithDefaultSignalsAndAnEmptyMask) {
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t term;
    sigset_t before;
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &term, &before);
    const auto captured = run_and_capture({.argv = {"/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}});
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    EXPECT_EQ(captured.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Child, StartsInTheGivenDirectory) {
    const testing::TempDir dir;
    auto options = ChildOptions{.argv = {"/bin/pwd"}};
    options.cwd = dir.path();
    EXPECT_EQ(run_and_capture(options).out, dir.path() + "\n");
}

TEST(Child, NamesADirectoryThatIsNotThere) {
    auto options = shell("true");
    options.cwd = "/nonexistent-directory";
    try {
        Child::start(options);
        FAIL() << "it started";
    } catch (const Error& e) {
        EXPECT_THAT(e.message(), HasSubstr("/nonexistent-directory"));
        EXPECT_NE(e.kind(), ErrorKind::command_not_found);
    }
}

TEST(Child, HasAProcessGroupOfItsOwnOnlyWhenAsked) {
    auto options = shell("sleep 5");
    Child same = Child::start(options);
    EXPECT_EQ(::getpgid(same.pid()), ::getpgrp());
    options.new_process_group = true;
    Child own = Child::start(options);
    EXPECT_EQ(::getpgid(own.pid()), own.pid());
}

TEST(Child, TellsAMissingProgramFromOneThatMayNotRun) {
    const testing::TempDir dir;
    EXPECT_EQ(kind_of_start({.argv = {dir / "none"}}), ErrorKind::command_not_found);
    std::ofstream(dir / "plain") << "text";
    EXPECT_EQ(kind_of_start({.argv = {dir / "plain"}}), ErrorKind::not_executable);
    EXPECT_EQ(kind_of_start({.argv = {dir.path()}}), ErrorKind::not_executable);
    std::ofstream(dir / "noformat") << "text";
    ::chmod((dir / "noformat").c_str(), 0755);
    EXPECT_EQ(kind_of_start({.argv = {dir / "noformat"}}), ErrorKind::not_executable);
    std::ofstream(dir / "nointerpreter") << "#!/no/such/interpreter\n";
    ::chmod((dir / "nointerpreter").c_str(), 0755);
    try {
        Child::start({.argv = {dir / "nointerpreter"}});
        FAIL() << "it started";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::command_not_found);
        EXPECT_THAT(e.message(), HasSubstr("interpreter"));
    }
}

TEST(Child, WaitForGivesUpAtItsTime) {
    Child child = Child::start(shell("sleep 30"));
    EXPECT_EQ(child.wait_for(20ms), std::nullopt);
    child.signal(SIGKILL);
    EXPECT_EQ(child.wait_for(10s), (ExitStatus{0, SIGKILL}));
    child.signal(SIGTERM);  // nobody is there any more: nothing happens
}

TEST(Child, CanBeSignalledWhileAnotherThreadWaits) {
    Child child = Child::start(shell("sleep 30"));
    std::thread killer([&] {
        std::this_thread::sleep_for(20ms);
        child.signal(SIGTERM);
    });
    EXPECT_EQ(child.wait().signal, SIGTERM);
    killer.join();
}

TEST(Child, IsKilledAndReapedWhenItsOwnerGoes) {
    int pid = 0;
    {
        const Child child = Child::start(shell("sleep 30"));
        pid = child.pid();
    }
    EXPECT_EQ(::kill(pid, 0), -1);
    EXPECT_EQ(errno, ESRCH);
}

TEST(Child, GoesOnWhenReleased) {
    Child child = Child::start(shell("exec sleep 30"));
    const int pid = child.pid();
    child.release();
    { const Child gone = std::move(child); }
    EXPECT_EQ(::kill(pid, SIGKILL), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
}

TEST(RunAndCapture, KeepsBothStreamsApart) {
    const auto captured = run_and_capture(shell("echo out; echo err >&2; exit 4"));
    EXPECT_EQ(captured.out, "out\n");
    EXPECT_EQ(captured.err, "err\n");
    EXPECT_EQ(captured.status.code, 4);
}

TEST(RunAndCapture, FeedsMoreInputThanAPipeHolds) {
    const std::string input(300'000, 'x');
    EXPECT_EQ(run_and_capture({.argv = {"/bin/cat"}}, input).out, input);
}

TEST(RunAndCapture, SurvivesAChildThatReadsNoInput) {
    EXPECT_TRUE(run_and_capture({.argv = {"/bin/true"}}, std::string(300'000, 'x')).status.ok());
}

TEST(RunAndCapture, EndsWithItsChildEvenWhenAGrandchildKeepsThePipe) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(run_and_capture(shell("sleep 20 & echo done")).out, "done\n");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST(RunAndCapture, RefusesTooMuchOutput) {
    try {
        run_and_capture({.argv = {"/bin/cat", "/dev/zero"}}, {}, 30s, 1000);
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
    }
}

TEST(RunAndCapture, KillsAtTheTimeout) {
    try {
        run_and_capture({.argv = {"/bin/sleep", "30"}}, {}, 50ms);
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unavailable);
        EXPECT_THAT(e.message(), HasSubstr("/bin/sleep"));
    }
}

}  // namespace
}  // namespace locald::host
