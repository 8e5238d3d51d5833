#include "core/host/signals.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace locald::host {
namespace {

TEST(SignalQueue, GivesSignalsInTheirOrder) {
    SignalQueue queue({SIGUSR1, SIGUSR2});
    EXPECT_EQ(queue.next(), std::nullopt);
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    pollfd entry{queue.handle(), POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 1);
    EXPECT_EQ(queue.next(), SIGUSR2);
    EXPECT_EQ(queue.next(), SIGUSR1);
    EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(SignalQueue, PutsBackWhatWasThere) {
    static int calls = 0;
    ::signal(SIGUSR1, [](int) { ++calls; });
    { const SignalQueue queue({SIGUSR1}); }
    ::raise(SIGUSR1);
    ::signal(SIGUSR1, SIG_DFL);
    EXPECT_EQ(calls, 1);
}

TEST(SignalQueue, LeavesIgnoredSignalsIgnored) {
    ::signal(SIGHUP, SIG_IGN);
    {
        SignalQueue queue({SIGHUP});
        ::raise(SIGHUP);
        EXPECT_EQ(queue.next(), std::nullopt);
    }
    ::signal(SIGHUP, SIG_DFL);
}

TEST(SignalQueue, DiesAsTheSignalHasIt) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        const SignalQueue queue({SIGTERM});
        SignalQueue::die_by(SIGTERM);
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(ForwardableSignals, LeaveOutWhatIsOurOwn) {
    const auto numbers = forwardable_signals();
    const auto has = [&](int number) { return std::find(numbers.begin(), numbers.end(), number) != numbers.end(); };
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMAX}) {
        EXPECT_TRUE(has(number)) << number;
    }
    for (const int number : {SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGSEGV, SIGTSTP, SIGTTIN, SIGTTOU}) {
        EXPECT_FALSE(has(number)) << number;
    }
}

}  // namespace
}  // namespace locald::host
