#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "backends/linux/detached/log_format.hpp"
#include "backends/linux/detached/log_printer.hpp"
#include "backends/linux/detached/log_reader.hpp"
#include "backends/linux/detached/log_writer.hpp"
#include "backends/linux/detached/output_hub.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::backends {
namespace {

struct Read {
    std::string bytes;
    std::uint64_t lost = 0;
};

Read read_all(const std::string& directory, std::uint64_t from = 0) {
    LogReader reader(directory, from);
    Read read;
    while (const auto piece = reader.next()) {
        read.bytes += piece->bytes;
        read.lost += piece->lost;
    }
    return read;
}

TEST(LogRecord, ComesBackAsItWas) {
    std::string text;
    const std::string bytes("a\nb\0c\xff", 6);
    append_log_record(text, OutputStream::err, 1234567890123456789, 42, bytes);
    const auto record = parse_log_record(text + "o 1");
    ASSERT_TRUE(record);
    EXPECT_EQ(record->length, text.size());
    EXPECT_EQ(record->piece.stream, OutputStream::err);
    EXPECT_EQ(record->piece.time, 1234567890123456789);
    EXPECT_EQ(record->piece.offset, 42U);
    EXPECT_EQ(record->piece.bytes, bytes);
}

TEST(LogRecord, IsNoneBeforeItIsWhole) {
    std::string text;
    append_log_record(text, OutputStream::out, 1, 0, "words");
    for (std::size_t length = 0; length < text.size(); ++length) {
        EXPECT_FALSE(parse_log_record(std::string_view(text).substr(0, length))) << length;
    }
    EXPECT_TRUE(parse_log_record(text));
    for (const char* wrong : {"x 1 0 1\nw\n", "o 1 0 0\n\n", "o 1 0 99999999\nw\n", "o 1 0\nw\n", "o 1 0 1\nww"}) {
        EXPECT_FALSE(parse_log_record(wrong)) << wrong;
    }
}

TEST(Log, IsReadWhileItIsWritten) {
    const testing::TempDir dir;
    LogWriter writer(dir.path());
    LogReader reader(dir.path(), 0);
    EXPECT_FALSE(reader.next());
    writer.append(OutputStream::out, 1, 0, "one");
    EXPECT_EQ(reader.next()->bytes, "one");
    EXPECT_FALSE(reader.next());
    writer.append(OutputStream::out, 2, 3, "two");
    EXPECT_EQ(reader.next()->bytes, "two");
}

TEST(Log, BeginsWhereItIsAskedTo) {
    const testing::TempDir dir;
    LogWriter writer(dir.path());
    writer.append(OutputStream::out, 1, 0, "0123");
    writer.append(OutputStream::out, 1, 4, "4567");
    EXPECT_EQ(read_all(dir.path(), 2).bytes, "234567");
    EXPECT_EQ(read_all(dir.path(), 4).bytes, "4567");
    EXPECT_EQ(read_all(dir.path(), 8).bytes, "");
}

TEST(Log, IsBoundedAndTellsWhatIsMissing) {
    const testing::TempDir dir;
    LogWriter writer(dir.path());
    const std::string block(piece_most, 'x');
    std::uint64_t offset = 0;
    for (; offset < 40U << 20U; offset += block.size()) writer.append(OutputStream::out, 1, offset, block);
    std::uint64_t on_disk = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) on_disk += entry.file_size();
    EXPECT_LE(on_disk, segments_most * segment_most);
    const auto read = read_all(dir.path());
    EXPECT_EQ(read.bytes.size() + read.lost, offset);
    EXPECT_GE(read.bytes.size(), (segments_most - 1) * segment_most - block.size() * segments_most);
}

TEST(Log, LeavesOutWhatCannotBeWrittenAndGoesOn) {
    const testing::TempDir dir;
    const std::string path = dir.path() + "/gone";
    LogWriter writer(path);
    writer.append(OutputStream::out, 1, 0, "lost!");
    std::filesystem::create_directory(path);
    writer.append(OutputStream::out, 1, 5, "kept");
    const auto read = read_all(path);
    EXPECT_EQ(read.bytes, "kept");
    EXPECT_EQ(read.lost, 5U);
}

TEST(Log, BeginsAtAnyPlaceOfASegment) {
    const testing::TempDir dir;
    LogWriter writer(dir.path());
    const std::string block(50'000, 'x');
    constexpr std::uint64_t blocks = 20;
    for (std::uint64_t i = 0; i < blocks; ++i) writer.append(OutputStream::out, 1, i * block.size(), block);
    for (std::uint64_t from = 0; from < blocks * block.size(); from += 33'333) {
        LogReader reader(dir.path(), from);
        const auto piece = reader.next();
        ASSERT_TRUE(piece) << from;
        EXPECT_EQ(piece->offset, from);
        EXPECT_EQ(piece->lost, 0U);
    }
}

TEST(Log, EndsBeforeAHalfRecord) {
    const testing::TempDir dir;
    LogWriter writer(dir.path());
    writer.append(OutputStream::out, 1, 0, "whole");
    std::ofstream(dir.path() + "/" + segment_name(0), std::ios::app) << "o 1 5 100\nhalf";
    EXPECT_EQ(read_all(dir.path()).bytes, "whole");
}

TEST(LogPrinter, GoesOnInTheMiddleOfALineAsIfItHadNotStopped) {
    const auto out = posix::make_pipe();
    runtime::LogOptions options;
    options.timestamps = true;
    const auto printed = [&] {
        std::string text(4096, '\0');
        const auto got = ::read(out.read.get(), text.data(), text.size());
        return text.substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
    };
    LogPrinter first(options, out.write.get(), out.write.get());
    first.begin();
    first.print({OutputStream::out, 0, 0, "one\nhal", 0});
    const auto before = printed();
    auto place = first.place(7);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->out, before.size());
    place->out = 1;  // of what follows, the reader has one byte
    options.resume = place;
    LogPrinter second(options, out.write.get(), out.write.get());
    second.begin();
    EXPECT_FALSE(second.place(7));
    second.print({OutputStream::out, 0, 7, "fway\n", 0});
    EXPECT_EQ(printed(), "way\n");
    ASSERT_TRUE(second.place(12));
    second.print({OutputStream::out, 0, 20, "x\n", 8});
    EXPECT_EQ(printed(), "locald: 8 bytes of the output are not in the log\n1970-01-01T00:00:00.000000000Z x\n");
}

TEST(OutputHub, GivesEachFollowerAllOfItAtHisOwnSpeed) {
    const testing::TempDir dir;
    OutputHub hub(dir.path());
    const std::string block(10'000, 'x');
    constexpr int blocks = 300;  // three times what is kept in memory
    const auto follow = [&](std::chrono::microseconds pause, std::uint64_t& seen, std::uint64_t& lost) {
        OutputHub::Follower follower(hub, 0);
        while (const auto piece = follower.next()) {
            seen += piece->bytes.size();
            lost += piece->lost;
            std::this_thread::sleep_for(pause);
        }
    };
    std::uint64_t fast = 0, slow = 0, lost = 0, lost_too = 0;
    std::thread first([&] { follow(std::chrono::microseconds(0), fast, lost); });
    std::thread second([&] { follow(std::chrono::microseconds(500), slow, lost_too); });
    for (int i = 0; i < blocks; ++i) hub.append(OutputStream::out, block);
    hub.finish();
    first.join();
    second.join();
    EXPECT_EQ(fast, blocks * block.size());
    EXPECT_EQ(slow, blocks * block.size());
    EXPECT_EQ(lost + lost_too, 0U);
}

TEST(OutputHub, TellsWhatNeitherMemoryNorTheDiskHas) {
    const testing::TempDir dir;
    OutputHub hub(dir.path() + "/nowhere");
    const std::string block(10'000, 'x');
    for (int i = 0; i < 300; ++i) hub.append(OutputStream::out, block);
    hub.finish();
    OutputHub::Follower follower(hub, 0);
    std::uint64_t seen = 0, lost = 0;
    while (const auto piece = follower.next()) {
        seen += piece->bytes.size();
        lost += piece->lost;
    }
    EXPECT_EQ(seen + lost, 300 * block.size());
    EXPECT_GE(seen, 1'000'000U);
}

TEST(OutputHub, LetsAFollowerGo) {
    const testing::TempDir dir;
    OutputHub hub(dir.path());
    OutputHub::Follower follower(hub, 0);
    std::thread waiting([&] { EXPECT_FALSE(follower.next()); });
    follower.stop();
    waiting.join();
}

}  // namespace
}  // namespace locald::backends
