#include "backends/protocol/multiplexer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <thread>

#include "core/host/stream.hpp"

using namespace locald;
using namespace locald::protocol;
using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;

namespace {

std::array<int, 2> pair_of_sockets() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    return ends;
}

std::array<int, 2> pipe_of_ours() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    return ends;
}

/// A multiplexer in a thread, with what it told.
class Side {
public:
    explicit Side(int link) : mux(link, link), thread_([this] { run(); }) {}
    ~Side() {
        mux.stop();
        thread_.join();
    }

    template <class Ready>
    bool wait(Ready&& ready) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 10s, ready);
    }

    Multiplexer mux;
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::pair<std::uint32_t, json>> messages;
    std::vector<std::pair<std::uint32_t, FrameType>> closed;
    std::optional<Error> lost;

private:
    void run() {
        mux.run({[this](std::uint32_t stream, const json& message) {
                     const std::lock_guard lock(mutex);
                     messages.emplace_back(stream, message);
                     changed.notify_all();
                 },
                 [this](std::uint32_t stream, FrameType type) {
                     const std::lock_guard lock(mutex);
                     closed.emplace_back(stream, type);
                     changed.notify_all();
                 },
                 [this](const Error& why) {
                     const std::lock_guard lock(mutex);
                     lost = why;
                     changed.notify_all();
                 }});
    }
    std::thread thread_;
};

struct Both {
    std::array<int, 2> link = pair_of_sockets();
    Side a{link[0]}, b{link[1]};
};

std::string read_all(int handle) {
    std::string all;
    host::read_to_end(handle, [&](std::string_view bytes) { all += bytes; });
    ::close(handle);
    return all;
}

}  // namespace

TEST(Multiplexer, CarriesMessagesInOrder) {
    Both both;
    for (int i = 0; i < 100; ++i) both.a.mux.send(1, json{{"n", i}});
    ASSERT_TRUE(both.b.wait([&] { return both.b.messages.size() == 100; }));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(both.b.messages[static_cast<std::size_t>(i)].second["n"], i);
}

TEST(Multiplexer, CarriesMoreThanACreditAndTheEnd) {
    Both both;
    const auto from = pipe_of_ours(), to = pipe_of_ours();
    both.b.mux.write_to(3, FrameType::out, {to[1]});
    both.a.mux.read_from(3, FrameType::out, {from[0]});
    std::string sent;
    for (int i = 0; sent.size() < 3'000'000; ++i) sent += std::to_string(i) + " ";
    std::thread writer([&] {
        host::write_all(from[1], sent);
        ::close(from[1]);
    });
    EXPECT_EQ(read_all(to[0]), sent);
    writer.join();
    EXPECT_TRUE(both.a.wait([&] { return both.a.closed.size() == 1; }));
    EXPECT_TRUE(both.b.wait([&] { return both.b.closed.size() == 1; }));
}

TEST(Multiplexer, OneWhoDoesNotReadStopsNobodyElse) {
    Both both;
    const auto stuck_from = pipe_of_ours(), stuck_to = pipe_of_ours(), from = pipe_of_ours(), to = pipe_of_ours();
    both.b.mux.write_to(1, FrameType::out, {stuck_to[1]});
    both.a.mux.read_from(1, FrameType::out, {stuck_from[0]});
    std::atomic<std::size_t> taken = 0;
    std::thread flood([&] {
        const std::string block(65536, 'x');
        for (int i = 0; i < 64; ++i) {
            if (::write(stuck_from[1], block.data(), block.size()) < 0) break;
            taken += block.size();
        }
        ::close(stuck_from[1]);
    });
    both.b.mux.write_to(2, FrameType::out, {to[1]});
    both.a.mux.read_from(2, FrameType::out, {from[0]});
    host::write_all(from[1], "through");
    ::close(from[1]);
    EXPECT_EQ(read_all(to[0]), "through");
    // What is under way is bounded: a credit here, and what the pipes hold.
    EXPECT_LT(taken.load(), first_credit + std::size_t(5) * 65536U);
    EXPECT_EQ(read_all(stuck_to[0]).size(), std::size_t(64) * 65536U);
    flood.join();
}

TEST(Multiplexer, AReaderThatGoesAwayIsFeltAtTheSource) {
    Both both;
    const auto from = pipe_of_ours(), to = pipe_of_ours();
    both.b.mux.write_to(1, FrameType::out, {to[1]});
    both.a.mux.read_from(1, FrameType::out, {from[0]});
    ::close(to[0]);
    ::signal(SIGPIPE, SIG_IGN);
    const std::string block(4096, 'x');
    ssize_t put = 1;
    for (int i = 0; i < 10000 && put > 0; ++i) {
        put = ::write(from[1], block.data(), block.size());
        if (i > 100) std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(put, -1);
    EXPECT_EQ(errno, EPIPE);
    ::close(from[1]);
}

TEST(Multiplexer, ReadsWhatIsLeftAndThenNoMore) {
    Both both;
    const auto from = pipe_of_ours(), to = pipe_of_ours();
    both.b.mux.write_to(1, FrameType::out, {to[1]});
    both.a.mux.read_from(1, FrameType::out, {from[0]});
    host::write_all(from[1], "the last words");
    both.a.mux.finish_reading(1, 100ms);  // and the pipe stays open
    EXPECT_EQ(read_all(to[0]), "the last words");
    ::close(from[1]);
}

TEST(Multiplexer, ASlowReaderLosesNothingAtTheEnd) {
    Both both;
    const auto from = pipe_of_ours(), to = pipe_of_ours();
    both.b.mux.write_to(1, FrameType::out, {to[1]});
    both.a.mux.read_from(1, FrameType::out, {from[0]});
    const std::string sent(700'000, 'y');
    std::thread writer([&] { host::write_all(from[1], sent); });
    std::this_thread::sleep_for(100ms);  // the credit is used up
    both.a.mux.finish_reading(1, 50ms);
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(read_all(to[0]).size(), sent.size());
    writer.join();
    ::close(from[1]);
}

TEST(Multiplexer, ForgetsAStreamWithoutAWord) {
    Both both;
    const auto to = pipe_of_ours();
    both.b.mux.write_to(1, FrameType::out, {to[1]});
    both.b.mux.forget(1);
    EXPECT_EQ(read_all(to[0]), "");
    both.a.mux.send(2, json{{"still", "here"}});
    EXPECT_TRUE(both.b.wait([&] { return both.b.messages.size() == 1; }));
    EXPECT_TRUE(both.b.closed.empty());
}

TEST(Multiplexer, TellsWhenTheOtherSideIsGone) {
    const auto link = pair_of_sockets();
    Side side(link[0]);
    ::close(link[1]);
    ASSERT_TRUE(side.wait([&] { return side.lost.has_value(); }));
    EXPECT_EQ(side.lost->kind(), ErrorKind::lost);
}

TEST(Multiplexer, WritesWhatCameBeforeTheLinkWasLost) {
    const auto link = pair_of_sockets();
    const auto to = pipe_of_ours();
    Side side(link[0]);
    side.mux.write_to(1, FrameType::out, {to[1]});
    std::string bytes;
    const std::string content(200'000, 'z');
    for (std::size_t at = 0; at < content.size(); at += max_data) {
        append_frame(bytes, FrameType::out, 1, std::string_view(content).substr(at, max_data));
    }
    host::write_all(link[1], bytes);
    ::close(link[1]);
    EXPECT_EQ(read_all(to[0]).size(), content.size());
}

TEST(Multiplexer, RefusesBytesAboveTheCredit) {
    const auto link = pair_of_sockets();
    const auto to = pipe_of_ours();
    Side side(link[0]);
    side.mux.write_to(1, FrameType::out, {to[1]});
    std::string bytes;
    for (std::size_t sent = 0; sent < 2 * first_credit; sent += max_data) {
        append_frame(bytes, FrameType::out, 1, std::string(max_data, 'x'));
    }
    std::thread writer([&] {
        try {
            host::write_all(link[1], bytes);
        } catch (const Error&) {
        }
    });
    ASSERT_TRUE(side.wait([&] { return side.lost.has_value(); }));
    EXPECT_EQ(side.lost->kind(), ErrorKind::corrupt);
    EXPECT_THAT(side.lost->message(), HasSubstr("credit"));
    ::shutdown(link[1], SHUT_RDWR);
    writer.join();
    ::close(link[1]);
    ::close(to[0]);
}

TEST(Multiplexer, RefusesWhatIsNoMessage) {
    for (const char* text : {"not JSON", "[]", "3", ""}) {
        const auto link = pair_of_sockets();
        Side side(link[0]);
        std::string bytes;
        append_frame(bytes, FrameType::control, 1, text);
        host::write_all(link[1], bytes);
        ASSERT_TRUE(side.wait([&] { return side.lost.has_value(); })) << text;
        EXPECT_EQ(side.lost->kind(), ErrorKind::corrupt) << text;
        ::close(link[1]);
    }
}

TEST(Multiplexer, RefusesAMessageThatDoesNotFit) {
    Both both;
    EXPECT_THROW(both.a.mux.send(1, json{{"text", std::string(max_control, 'x')}}), Error);
    both.a.mux.send(1, json{{"text", "small"}});
    EXPECT_TRUE(both.b.wait([&] { return both.b.messages.size() == 1; }));
}
