// Both ends of a link with a runtime of the test's own, and a relay between them that cuts the link after any frame.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "backends/agent/agent.hpp"
#include "backends/protocol/frame.hpp"
#include "backends/remote/agent_client.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "core/host/pipe.hpp"
#include "core/host/stream.hpp"
#include "tests/support/fake_runtime.hpp"

using namespace locald;
using namespace locald::backends;
using namespace locald::testing;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

/// Between client and agent; hands `frames` frames of both directions on and then cuts.
class CuttingRelay {
public:
    CuttingRelay(int client, int agent, int frames) : client_(client), agent_(agent), left_(frames) {
        thread_ = std::thread([this] { run(); });
    }
    ~CuttingRelay() { thread_.join(); }
    int passed() const noexcept { return passed_; }

private:
    void run() {
        protocol::FrameReader from_client, from_agent;
        for (bool open = true; open;) {
            std::array<pollfd, 2> both{pollfd{client_, POLLIN, 0}, pollfd{agent_, POLLIN, 0}};
            ::poll(both.data(), 2, -1);
            open = hand_on(both[0], from_client, agent_) && hand_on(both[1], from_agent, client_);
        }
        ::close(client_);
        ::close(agent_);
    }
    bool hand_on(const pollfd& from, protocol::FrameReader& reader, int to) {
        if (from.revents == 0) return true;
        std::array<char, 65536> bytes;
        const auto got = ::read(from.fd, bytes.data(), bytes.size());
        if (got <= 0) return false;
        reader.push({bytes.data(), static_cast<std::size_t>(got)});
        while (const auto frame = reader.next()) {
            if (left_ == 0) return false;
            if (left_ > 0) --left_;
            ++passed_;
            std::string out;
            protocol::append_frame(out, frame->type, frame->stream, frame->payload);
            if (::send(to, out.data(), out.size(), MSG_NOSIGNAL) < 0) return false;
        }
        return true;
    }

    int client_, agent_;
    int left_;
    std::atomic<int> passed_ = 0;
    std::thread thread_;
};

/// An agent in a thread, a relay and a client.
class Linked {
public:
    explicit Linked(int frames = -1, AgentTiming timing = {}) : timing_(timing) {
        const auto a = host::make_socket_pair(), b = host::make_socket_pair();
        client_end_ = a[0];
        relay.emplace(a[1], b[0], frames);
        agent_ = std::thread([this, in = b[1]] { serve_agent(fake_, in, in); });
        made = make_remote_runtime([this] {
            const int end = std::exchange(client_end_, -1);
            return std::make_shared<AgentClient>(end, end, "far", timing_);
        });
    }
    ~Linked() {
        made.reset();
        if (client_end_ >= 0) ::close(client_end_);
        agent_.join();
    }

    std::optional<CuttingRelay> relay;
    std::unique_ptr<runtime::ContainerRuntime> made;

private:
    FakeRuntime fake_;
    AgentTiming timing_;
    int client_end_ = -1;
    std::thread agent_;
};

}  // namespace

TEST(Link, ARunIsAsTheRuntimesOwn) {
    Linked linked;
    const auto outcome = run_once(*linked.made);
    EXPECT_EQ(outcome.said, "hello world");
    EXPECT_EQ(outcome.status, (runtime::ExitStatus{7, 0}));
    EXPECT_EQ(alive, 0);
}

TEST(Link, SeveralRunsAtOnce) {
    Linked linked;
    std::vector<std::thread> threads;
    threads.reserve(16);
    std::atomic<int> right = 0;
    for (int i = 0; i < 16; ++i) {
        threads.emplace_back([&] {
            const auto outcome = run_once(*linked.made);
            if (outcome.said == "hello world" && outcome.status == runtime::ExitStatus{7, 0}) ++right;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(right, 16);
}

TEST(Link, SignalsAndQuestionsReachTheContainer) {
    Linked linked;
    bundle::RunOptions options;
    options.command = {"wait"};
    const auto container = linked.made->run_container({}, options, pipes(), {}, {});
    EXPECT_EQ(container->pid(), 42);
    EXPECT_THAT(container->warnings(), ElementsAre("a warning"));
    EXPECT_TRUE(container->drops(SIGINT));
    EXPECT_FALSE(container->drops(SIGTERM));
    EXPECT_FALSE(container->wait_for(10ms));
    container->signal(SIGUSR1);
    EXPECT_EQ(container->wait(), (runtime::ExitStatus{0, SIGUSR1}));
}

TEST(Link, AQuestionAfterItsEndKeepsTheStatus) {
    Linked linked;
    const auto container = linked.made->run_container({}, {}, pipes(), {}, {});
    container->close_stdin();
    host::read_to_end(container->stdout_handle(), [](std::string_view) {});
    std::this_thread::sleep_for(200ms);
    EXPECT_FALSE(container->drops(SIGINT));
    EXPECT_EQ(container->wait(), (runtime::ExitStatus{7, 0}));
}

TEST(Link, StopUsesTheContainersOwnSignal) {
    Linked linked;
    bundle::RunOptions options;
    options.command = {"wait"};
    const auto container = linked.made->run_container({}, options, pipes(), {}, {});
    EXPECT_EQ(container->stop(1s), (runtime::ExitStatus{0, SIGTERM}));
}

TEST(Link, AHandleThatGoesAwayEndsItsContainer) {
    Linked linked;
    bundle::RunOptions options;
    options.command = {"wait"};
    linked.made->run_container({}, options, pipes(), {}, {}).reset();
    EXPECT_EQ(alive, 0);
}

TEST(Link, ErrorsCrossWhole) {
    Linked linked;
    try {
        linked.made->inspect_bundle("/x");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::not_found);
        EXPECT_STREQ(e.what(), "read /x: No such file or directory; check it");
    }
}

TEST(Link, ProgressAndCancellationCross) {
    Linked linked;
    const CancelToken cancel;
    int steps = 0;
    try {
        linked.made->prepare_bundle(
            {}, {}, "/b",
            [&](const Progress& step) {
                ++steps;
                EXPECT_EQ(step.step, "unpack");
                cancel.cancel();
            },
            cancel);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    }
    EXPECT_EQ(steps, 1);
}

// The whole truth or "lost": never another status, and nothing is left, wherever the link is cut.
TEST(Link, IsCutAfterEveryFrame) {
    int frames = 0;
    {
        Linked linked;
        run_once(*linked.made);
        linked.made.reset();
        frames = linked.relay->passed();
    }
    ASSERT_GT(frames, 5);
    for (int n = 0; n <= frames; ++n) {
        {
            Linked linked(n);
            const auto outcome = run_once(*linked.made);
            if (outcome.status) {
                EXPECT_EQ(*outcome.status, (runtime::ExitStatus{7, 0})) << n;
                EXPECT_EQ(outcome.said, "hello world") << n;
            } else {
                ASSERT_TRUE(outcome.error) << n;
                EXPECT_EQ(outcome.error->kind(), ErrorKind::lost) << n << outcome.error->what();
                EXPECT_EQ(exit_code_of(*outcome.error), 125);
            }
        }
        EXPECT_EQ(alive, 0) << n;
    }
}

TEST(Link, ASilentAgentIsLost) {
    const auto ends = host::make_socket_pair();
    std::string greeting;
    protocol::append_frame(greeting, protocol::FrameType::control, 0,
                           R"({"hello":{"protocol":2,"version":"1","machine":"m","kernel":"k"}})");
    host::write_all(ends[1], greeting);
    AgentTiming timing;
    timing.ping = 20ms;
    timing.silence = 100ms;
    AgentClient client(ends[0], ends[0], "far", timing);
    try {
        client.call({{"do", "list"}});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::lost);
        EXPECT_THAT(e.what(), HasSubstr("said nothing"));
    }
    ::close(ends[1]);
}

TEST(Link, AClientThatIsSilentLosesItsLease) {
    AgentTiming timing;
    timing.ping = 1h;
    timing.lease = 100ms;
    Linked linked(-1, timing);
    bundle::RunOptions options;
    options.command = {"wait"};
    const auto container = linked.made->run_container({}, options, pipes(), {}, {});
    for (int i = 0; i < 200 && alive > 0; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(alive, 0);
    EXPECT_THROW(container->wait(), Error);
}

TEST(Link, PingsKeepTheLease) {
    AgentTiming timing;
    timing.ping = 20ms;
    timing.silence = timing.lease = 700ms;
    Linked linked(-1, timing);
    bundle::RunOptions options;
    options.command = {"wait"};
    const auto container = linked.made->run_container({}, options, pipes(), {}, {});
    EXPECT_FALSE(container->wait_for(1500ms));
    container->signal(SIGTERM);
    EXPECT_EQ(container->wait(), (runtime::ExitStatus{0, SIGTERM}));
}

TEST(Link, WhatIsNoAgentIsNamed) {
    for (const auto& [said, wanted] : {std::pair{std::string("Welcome!\r\nLast login: today\r\n"), "frame"},
                                       {std::string("\0\0\0\2\1\0\0\0\0{}", 11), "said nothing"},
                                       {std::string(), "said nothing"}}) {
        const auto ends = host::make_socket_pair();
        if (!said.empty()) host::write_all(ends[1], said);
        AgentTiming timing;
        timing.greeting = 100ms;
        try {
            const AgentClient client(ends[0], ends[0], "far", timing);
            FAIL();
        } catch (const Error& e) {
            EXPECT_THAT(e.what(), HasSubstr("far"));
            EXPECT_THAT(e.what(), HasSubstr(wanted));
        }
        ::close(ends[1]);
    }
}

TEST(Link, AnotherProtocolIsNamed) {
    const auto ends = host::make_socket_pair();
    std::string greeting;
    protocol::append_frame(greeting, protocol::FrameType::control, 0,
                           R"({"hello":{"protocol":9,"version":"9.1\u001b[31m","machine":"m","kernel":"k"}})");
    host::write_all(ends[1], greeting);
    try {
        const AgentClient client(ends[0], ends[0], "far");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
        EXPECT_THAT(e.what(), HasSubstr("9.1?[31m"));
        EXPECT_THAT(e.what(), HasSubstr("protocol 9"));
    }
    ::close(ends[1]);
}
