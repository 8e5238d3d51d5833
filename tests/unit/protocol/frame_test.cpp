#include "backends/protocol/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

using namespace locald::protocol;
using locald::Error;

namespace {

std::string frame(FrameType type, std::uint32_t stream, std::string_view payload) {
    std::string bytes;
    append_frame(bytes, type, stream, payload);
    return bytes;
}

}  // namespace

TEST(Frame, IsLengthTypeStreamAndPayload) {
    EXPECT_EQ(frame(FrameType::out, 0x01020304, "ab"), std::string("\0\0\0\2\3\1\2\3\4ab", 11));
}

TEST(Frame, ComesBackHoweverItIsCut) {
    std::string bytes = frame(FrameType::control, 7, "{}");
    bytes += frame(FrameType::in, 9, std::string(70, 'x'));
    bytes += frame(FrameType::err, 1, "");
    for (std::size_t size = 1; size < bytes.size(); ++size) {
        FrameReader reader;
        std::vector<Frame> frames;
        for (std::size_t at = 0; at < bytes.size(); at += size) {
            reader.push(std::string_view(bytes).substr(at, size));
            while (auto one = reader.next()) frames.push_back(std::move(*one));
        }
        ASSERT_EQ(frames.size(), 3U) << size;
        EXPECT_EQ(frames[0].stream, 7U);
        EXPECT_EQ(frames[1].payload, std::string(70, 'x'));
        EXPECT_EQ(frames[2].type, FrameType::err);
        EXPECT_FALSE(reader.inside_frame());
    }
}

TEST(Frame, OfAnUnknownTypeIsPassedOver) {
    FrameReader reader;
    reader.push(frame(static_cast<FrameType>(77), 1, "later"));
    reader.push(frame(FrameType::out, 2, "now"));
    const auto next = reader.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->payload, "now");
}

TEST(Frame, AboveItsLimitIsRefusedBeforeItIsThere) {
    for (const auto& [type, most] : {std::pair{FrameType::out, max_data},
                                     {FrameType::control, max_control},
                                     {static_cast<FrameType>(77), max_control}}) {
        FrameReader reader;
        const auto over = frame(type, 1, std::string(most + 1, 'x'));
        reader.push(std::string_view(over).substr(0, header_size));
        EXPECT_THROW(reader.next(), Error);
        FrameReader other;
        other.push(frame(type, 1, std::string(most, 'x')));
        EXPECT_NO_THROW(other.next());
    }
}

TEST(Frame, CreditsAreForBytesAlone) {
    std::string bytes;
    append_credit(bytes, 5, FrameType::in, 70000);
    FrameReader reader;
    reader.push(bytes);
    const auto credit = read_credit(*reader.next());
    EXPECT_EQ(credit.type, FrameType::in);
    EXPECT_EQ(credit.bytes, 70000U);
    EXPECT_THROW(read_credit({FrameType::credit, 1, "abc"}), Error);
    EXPECT_THROW(read_credit({FrameType::credit, 1, std::string("\1\0\0\0\1", 5)}), Error);
}
