// A relay between one agent and many clients.

#include "backends/remote/relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "backends/agent/agent.hpp"
#include "backends/remote/agent_client.hpp"
#include "backends/remote/local_socket.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "core/host/pipe.hpp"
#include "tests/support/fake_runtime.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using namespace locald::testing;
using ::testing::HasSubstr;

namespace {

class Relayed {
public:
    explicit Relayed(std::chrono::milliseconds idle = 1h) {
        const auto link = host::make_socket_pair();
        agent_ = std::thread([this, end = link[1]] { serve_agent(fake_, end, end); });
        const int listener = listen_at(path);
        relay_ = std::thread([this, idle, end = link[0], listener] {
            Relay(end, listener, "far").run(idle);
            ended = true;
        });
    }
    ~Relayed() {
        if (!ended) disconnect();
        relay_.join();
        agent_.join();
    }
    void disconnect() const { client()->link().send(0, {{"disconnect", true}}); }
    std::shared_ptr<AgentClient> client() const {
        const int end = connect_to(path).value_or(-1);
        return std::make_shared<AgentClient>(end, end, "far");
    }
    std::unique_ptr<runtime::ContainerRuntime> runtime() const {
        return make_remote_runtime([this] { return client(); });
    }

    TempDir dir;
    const std::string path = dir.path() + "/s";
    std::atomic<bool> ended = false;

private:
    FakeRuntime fake_;
    std::thread agent_, relay_;
};

bool none_alive() {
    for (int i = 0; i < 500 && alive > 0; ++i) std::this_thread::sleep_for(10ms);
    return alive == 0;
}

}  // namespace

TEST(Relay, ManyClientsShareOneAgent) {
    const Relayed relayed;
    std::vector<std::thread> threads;
    threads.reserve(16);
    std::atomic<int> right = 0;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            const auto runtime = relayed.runtime();
            for (int k = 0; k < 5; ++k) {
                const auto outcome = run_once(*runtime);
                if (outcome.said == "hello world" && outcome.status == runtime::ExitStatus{7, 0}) ++right;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(right, 40);
    EXPECT_TRUE(none_alive());
}

TEST(Relay, AClientThatGoesAwayTakesItsContainersAndNoOthers) {
    const Relayed relayed;
    bundle::RunOptions waits;
    waits.command = {"wait"};
    const auto stays = relayed.runtime();
    const auto container = stays->run_container({}, waits, pipes(), {}, {});
    {
        const int raw = connect_to(relayed.path).value_or(-1);
        AgentClient going(raw, raw, "far");
        const auto stream = going.open();
        going.send(*stream, {{"do", "run"},
                             {"new", true},
                             {"source", protocol::write_source({})},
                             {"options", protocol::write_options(waits)},
                             {"credentials", nullptr},
                             {"stdin", false},
                             {"terminal", nullptr}});
        going.wait_for(*stream, "started", {}, {});
        EXPECT_EQ(alive, 2);
    }
    for (int i = 0; i < 500 && alive > 1; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(alive, 1);
    EXPECT_FALSE(container->wait_for(50ms));
    container->signal(SIGTERM);
    EXPECT_EQ(container->wait(), (runtime::ExitStatus{0, SIGTERM}));
}

TEST(Relay, SaysWhatItKeepsAndEndsWhenAsked) {
    const Relayed relayed;
    const auto one = relayed.client();
    const auto status = one->holder_status(5s);
    ASSERT_TRUE(status);
    EXPECT_EQ((*status)["host"], "far");
    EXPECT_EQ((*status)["clients"], 0);
    relayed.disconnect();
    try {
        for (int i = 0; i < 100; ++i) one->call({{"do", "list"}});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::lost);
        EXPECT_THAT(e.what(), HasSubstr("disconnect"));
    }
}

TEST(Relay, EndsWhenNobodyUsesIt) {
    const Relayed relayed(100ms);
    for (int i = 0; i < 500 && !relayed.ended; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(relayed.ended);
}

TEST(LocalSocket, NobodyListens) {
    const TempDir dir;
    EXPECT_FALSE(connect_to(dir.path() + "/none"));
    EXPECT_FALSE(connect_to(dir.path() + "/" + std::string(120, 'd') + "/none"));
    EXPECT_THROW(listen_at(dir.path() + "/" + std::string(120, 'x')), Error);
}

TEST(LocalSocket, MayHaveAPathThatFitsInNoAddress) {
    const TempDir dir;
    const std::string deep = dir.path() + "/" + std::string(120, 'd');
    ASSERT_EQ(::mkdir(deep.c_str(), 0700), 0);
    const int listener = listen_at(deep + "/socket");
    const auto end = connect_to(deep + "/socket");
    ASSERT_TRUE(end);
    ::close(*end);
    ::close(listener);
}
