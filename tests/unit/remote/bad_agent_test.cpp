// What an agent may say that makes no sense: each is an error that names the host and what to do, and no call waits.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "backends/protocol/frame.hpp"
#include "backends/remote/agent_client.hpp"
#include "core/host/pipe.hpp"
#include "core/host/stream.hpp"

using namespace locald;
using namespace locald::backends;
using protocol::FrameType;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

std::string frame(FrameType type, std::uint32_t stream, std::string_view payload) {
    std::string bytes;
    protocol::append_frame(bytes, type, stream, payload);
    return bytes;
}

std::string greeting() {
    return frame(FrameType::control, 0,
                 R"({"hello":{"protocol":)" + std::to_string(protocol::version) +
                     R"(,"version":"1","machine":"m","kernel":"k"}})");
}

/// What a call says when the agent answers with these bytes.
std::string answer_to(const std::string& bytes) {
    const auto ends = host::make_socket_pair();
    host::write_all(ends[1], greeting());
    std::string said = "no error";
    {
        AgentClient client(ends[0], ends[0], "far");
        host::write_all(ends[1], bytes);
        try {
            client.call({{"do", "list"}});
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::corrupt) << e.what();
            said = e.what();
        }
    }
    ::close(ends[1]);
    return said;
}

}  // namespace

TEST(BadAgent, IsNamedWithARemedy) {
    const auto is_named = [](const std::string& why) {
        return AllOf(HasSubstr("far: "), HasSubstr(why), HasSubstr("locald host disconnect"));
    };
    EXPECT_THAT(answer_to("Segmentation fault (core dumped)\n"), is_named("above the limit"));
    EXPECT_THAT(answer_to(std::string("\x7F\xFF\xFF\xFF\1\0\0\0\1", 9)), is_named("above the limit"));
    EXPECT_THAT(answer_to(frame(FrameType::control, 1, "{nonsense")), is_named("JSON"));
    EXPECT_THAT(answer_to(frame(FrameType::control, 1, "[1]")), is_named("no object"));
    EXPECT_THAT(answer_to(frame(FrameType::credit, 1, "12")), is_named("credit"));
    const std::string deep = "{\"x\":" + std::string(400000, '[') + std::string(400000, ']') + "}";
    EXPECT_THAT(answer_to(frame(FrameType::control, 1, deep)), is_named("nested"));
    EXPECT_THAT(answer_to(frame(FrameType::control, 0, R"({"lost":1})")), HasSubstr("the agent on far"));
}

TEST(BadAgent, MaySpeakOfWhatNobodyAskedFor) {
    // Bytes and answers for streams that there are not are dropped; the call gets its own.
    const auto stray = frame(FrameType::out, 7, "bytes") + frame(FrameType::control, 9, R"({"result":1})");
    const auto ends = host::make_socket_pair();
    host::write_all(ends[1], greeting() + stray);
    {
        AgentClient client(ends[0], ends[0], "far");
        std::thread agent([&] {
            std::string heard;
            std::array<char, 4096> bytes;
            while (heard.find("list") == std::string::npos) {
                const auto got = ::read(ends[1], bytes.data(), bytes.size());
                if (got <= 0) return;
                heard.append(bytes.data(), static_cast<std::size_t>(got));
            }
            host::write_all(ends[1],
                            frame(FrameType::control, 1,
                                  R"({"error":{"kind":"invalid","message":"no\u001b[2J","remedy":"","errno":0}})"));
        });
        try {
            client.call({{"do", "list"}});
            ADD_FAILURE();
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::invalid);
            EXPECT_STREQ(e.what(), "no?[2J");  // it drives no terminal
        }
        agent.join();
    }
    ::close(ends[1]);
}
