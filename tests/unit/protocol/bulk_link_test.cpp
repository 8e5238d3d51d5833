#include "backends/protocol/bulk_link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "core/host/pipe.hpp"

using namespace locald;
using namespace locald::protocol;
using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;

namespace {

template <class F>
std::string failure_of(F&& body) {
    try {
        body();
    } catch (const Error& e) {
        return e.what();
    }
    return "no failure";
}

class BulkLinks : public ::testing::Test {
protected:
    void write_raw(std::string_view bytes) const {
        ASSERT_EQ(::send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    std::array<int, 2> ends_ = host::make_socket_pair();
};

}  // namespace

TEST_F(BulkLinks, MessagesAndBytesCrossInTheirOrder) {
    BulkLink left(ends_[0], ends_[0]);
    BulkLink right(ends_[1], ends_[1]);
    const std::string bytes(3 * max_data, 'x');
    std::thread sender([&] {
        left.send(json{{"file", "a"}});
        for (std::size_t at = 0; at < bytes.size(); at += max_data) {
            left.send_bytes(FrameType::out, std::string_view(bytes).substr(at, max_data));
        }
        left.send(json{{"result", 1}});
    });
    std::string got, order;
    while (order.find("result") == std::string::npos) {
        const auto incoming = right.next(1s);
        ASSERT_TRUE(incoming);
        if (incoming->message) {
            order += incoming->message->dump();
        } else {
            got += incoming->bytes;
        }
    }
    sender.join();
    EXPECT_EQ(got, bytes);
    EXPECT_EQ(order, R"({"file":"a"}{"result":1})");
}

TEST_F(BulkLinks, ALinkThatIsClosedIsLost) {
    BulkLink left(ends_[0], ends_[0]);
    ::close(ends_[1]);
    EXPECT_THAT(failure_of([&] { left.next(1s); }), HasSubstr("closed by the other side"));
    EXPECT_THAT(failure_of([&] {
                    for (;;) left.send_bytes(FrameType::in, std::string(max_data, 'x'));
                }),
                HasSubstr("closed by the other side"));
}

TEST_F(BulkLinks, ASilentLinkIsLostForWhoeverReadsAndForWhoeverSends) {
    BulkLink left(ends_[0], ends_[0], {10ms, 100ms});
    EXPECT_FALSE(left.next(50ms));
    EXPECT_THAT(failure_of([&] { left.next(5s); }), HasSubstr("said nothing"));
    EXPECT_THAT(failure_of([&] {
                    for (;;) left.send_bytes(FrameType::in, std::string(max_data, 'x'));
                }),
                HasSubstr("said nothing"));
    ::close(ends_[1]);
}

TEST_F(BulkLinks, OneThatHasNothingToSayIsNotSilent) {
    BulkLink left(ends_[0], ends_[0], {10ms, 500ms});
    const BulkLink right(ends_[1], ends_[1], {10ms, 500ms});
    EXPECT_FALSE(left.next(1500ms));
}

TEST_F(BulkLinks, WhatIsNoFrameIsRefused) {
    BulkLink left(ends_[0], ends_[0]);
    write_raw(std::string("\x7f\xff\xff\xff\x02\0\0\0\0", header_size));
    EXPECT_THAT(failure_of([&] { left.next(1s); }), HasSubstr("above the limit"));
    ::close(ends_[1]);
}

TEST_F(BulkLinks, AFrameOfCreditDoesNotBelongHere) {
    BulkLink left(ends_[0], ends_[0]);
    std::string frame;
    append_credit(frame, 1, FrameType::in, 1);
    write_raw(frame);
    EXPECT_THAT(failure_of([&] { left.next(1s); }), HasSubstr("does not belong"));
    ::close(ends_[1]);
}

TEST_F(BulkLinks, FramesInAnyPiecesAreTheSame) {
    BulkLink left(ends_[0], ends_[0]);
    std::string frames;
    append_frame(frames, FrameType::control, 0, R"({"a":1})");
    append_frame(frames, FrameType::in, 0, "bytes");
    append_frame(frames, FrameType::control, 0, R"({"b":2})");
    std::string got;
    for (const char c : frames) {
        write_raw({&c, 1});
        while (const auto incoming = left.next(0ms)) {
            got += incoming->message ? incoming->message->dump() : std::string(incoming->bytes);
        }
    }
    EXPECT_EQ(got, R"({"a":1}bytes{"b":2})");
    ::close(ends_[1]);
}
