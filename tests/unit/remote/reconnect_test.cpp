// What becomes of a remote runtime whose connection is lost.

#include "backends/remote/reconnect.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <list>
#include <thread>

#include "backends/agent/agent.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "core/host/pipe.hpp"
#include "tests/support/fake_runtime.hpp"

using namespace locald;
using namespace locald::backends;
using namespace locald::testing;
using namespace std::chrono_literals;

namespace {

/// Agents in threads, a new one for each connection, which fails as often as it is told to before.
class Agents {
public:
    ~Agents() {
        for (auto& one : all_) one.join();
    }
    std::shared_ptr<AgentClient> connect() {
        ++attempts;
        if (!failures.empty()) {
            const Error failure = failures.front();
            failures.pop_front();
            throw Error(failure);
        }
        const auto ends = host::make_socket_pair();
        all_.emplace_back([this, end = ends[1]] { serve_agent(fake_, end, end); });
        last_ = ends[0];
        return std::make_shared<AgentClient>(ends[0], ends[0], "far");
    }
    /// Both directions of the last connection.
    void cut() const { ::shutdown(last_, SHUT_RDWR); }

    int attempts = 0;
    std::list<Error> failures;

private:
    FakeRuntime fake_;
    int last_ = -1;
    std::list<std::thread> all_;
};

ErrorKind kind_of_call(runtime::ContainerRuntime& runtime) {
    try {
        runtime.list();
    } catch (const Error& e) {
        return e.kind();
    }
    return ErrorKind::system;
}

}  // namespace

TEST(Backoff, DoublesUpToFiveSeconds) {
    Backoff longest, shortest;
    for (const auto expected : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
        EXPECT_EQ(longest.next(1), expected);
        EXPECT_EQ(shortest.next(0), expected / 2);
    }
}

TEST(Reconnect, ALostConnectionIsMadeAgainForTheNextCall) {
    Agents agents;
    const auto runtime = make_remote_runtime([&] { return agents.connect(); }, 5s);
    runtime->list();
    agents.failures = {Error(ErrorKind::unavailable, "refused"), Error(ErrorKind::lost, "gone again")};
    agents.cut();
    for (int i = 0; i < 500 && agents.attempts < 4; ++i) {
        try {
            runtime->list();
            std::this_thread::sleep_for(1ms);  // the cut is not seen yet
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::lost);
        }
    }
    EXPECT_EQ(agents.attempts, 4);
    EXPECT_NO_THROW(runtime->list());
}

TEST(Reconnect, WhatCannotPassIsNotTriedAgain) {
    Agents agents;
    agents.failures = {Error(ErrorKind::unavailable, "refused"), Error(ErrorKind::denied, "host key"),
                       Error(ErrorKind::unavailable, "refused")};
    try {
        connect_again([&] { return agents.connect(); }, 5s, {});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::denied);
    }
    EXPECT_EQ(agents.attempts, 2);
}

TEST(Reconnect, ItEndsAtItsDeadlineWithTheLastError) {
    Agents agents;
    for (int i = 0; i < 100; ++i) agents.failures.emplace_back(ErrorKind::unavailable, "refused " + std::to_string(i));
    try {
        connect_again([&] { return agents.connect(); }, 400ms, {});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.message(), "refused " + std::to_string(agents.attempts - 1));
    }
    EXPECT_GE(agents.attempts, 2);
    EXPECT_LE(agents.attempts, 6);
}

TEST(Reconnect, ItCanBeCancelled) {
    Agents agents;
    for (int i = 0; i < 100; ++i) agents.failures.emplace_back(ErrorKind::unavailable, "refused");
    const CancelToken cancel;
    std::thread canceller([&] {
        std::this_thread::sleep_for(100ms);
        cancel.cancel();
    });
    try {
        connect_again([&] { return agents.connect(); }, 1h, cancel);
        ADD_FAILURE();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    }
    canceller.join();
}

TEST(Reconnect, AFirstConnectionIsTriedOnce) {
    Agents agents;
    agents.failures = {Error(ErrorKind::unavailable, "refused")};
    const auto runtime = make_remote_runtime([&] { return agents.connect(); }, 5s);
    EXPECT_EQ(kind_of_call(*runtime), ErrorKind::unavailable);
    EXPECT_EQ(agents.attempts, 1);
}

TEST(LinkTiming, AShortLeaseMakesAllElseShorterToo) {
    const auto with = [](const char* value) {
        ::setenv("LOCALD_LEASE", value, 1);
        try {
            const auto timing = protocol::timing_between_hosts();
            ::unsetenv("LOCALD_LEASE");
            return timing;
        } catch (...) {
            ::unsetenv("LOCALD_LEASE");
            throw;
        }
    };
    const auto usual = protocol::timing_between_hosts();
    EXPECT_EQ(usual.lease, 30s);
    EXPECT_EQ(with("").lease, 30s);
    const auto brief = with("3");
    EXPECT_EQ(brief.lease, 3s);
    EXPECT_EQ(brief.silence, 2s);
    EXPECT_EQ(brief.ping, 500ms);
    EXPECT_EQ(brief.greeting, 5s);
    const auto patient = with("3600");
    EXPECT_EQ(patient.lease, 1h);
    EXPECT_EQ(patient.ping, usual.ping);
    EXPECT_EQ(patient.silence, usual.silence);
    for (const char* bad : {"0", "-1", "x", "86401", "3s"}) EXPECT_THROW(with(bad), Error) << bad;
}
