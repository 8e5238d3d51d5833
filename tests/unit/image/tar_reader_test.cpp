#include "core/image/tar_reader.hpp"

#include <gmock/gmock.h>

#include "core/base/error.hpp"
#include "tests/support/tar_builder.hpp"

namespace locald::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TarBuilder;

struct Read {
    TarEntry entry;
    std::string content;
};

std::vector<Read> read_all(const std::string& bytes, std::size_t chunk = 700, const TarLimits& limits = {}) {
    MemoryChunks chunks(bytes, chunk);
    TarReader reader(chunks, limits);
    std::vector<Read> result;
    Read read;
    while (reader.next(read.entry)) {
        read.content.clear();
        for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) {
            read.content.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        }
        result.push_back(read);
    }
    return result;
}

std::string failure_of(const std::string& bytes, ErrorKind kind = ErrorKind::corrupt, const TarLimits& limits = {}) {
    try {
        read_all(bytes, 700, limits);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), kind) << e.what();
        return e.what();
    }
    return "no failure";
}

TEST(TarReader, ReadsFilesOfAllSizesAcrossChunkBorders) {
    TarBuilder tar;
    for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 4000U}) {
        tar.file("f" + std::to_string(size), std::string(size, 'x'));
    }
    for (const std::size_t chunk : {1U, 511U, 512U, 513U, 100000U}) {
        const auto entries = read_all(tar.bytes(), chunk);
        ASSERT_THAT(entries, SizeIs(6));
        EXPECT_EQ(entries[4].content, std::string(513, 'x'));
        EXPECT_EQ(entries[5].entry.name, "f4000");
    }
}

TEST(TarReader, SkipsContentThatNobodyRead) {
    const auto bytes = TarBuilder().file("a", std::string(1300, 'a')).file("b", "b").bytes();
    MemoryChunks chunks(bytes, 100);
    TarReader reader(chunks);
    TarEntry entry;
    ASSERT_TRUE(reader.next(entry));
    ASSERT_TRUE(reader.next(entry));
    EXPECT_EQ(entry.name, "b");
}

TEST(TarReader, TakesPathOwnerSizeAndTimeFromThePaxHeader) {
    const auto entries = read_all(TarBuilder()
                                      .pax({{"path", std::string(300, 'p')},
                                            {"uid", "3000000"},
                                            {"gid", "4000000"},
                                            {"mtime", "-1.25"},
                                            {"SCHILY.xattr.user.note", std::string("a\0b", 3)}})
                                      .file("short", "content")
                                      .bytes());
    ASSERT_THAT(entries, SizeIs(1));
    const auto& entry = entries[0].entry;
    EXPECT_EQ(entry.name, std::string(300, 'p'));
    EXPECT_EQ(entry.uid, 3000000U);
    EXPECT_EQ(entry.gid, 4000000U);
    EXPECT_EQ(entry.mtime, -2);
    EXPECT_EQ(entry.mtime_nsec, 750000000U);
    EXPECT_EQ(entry.xattrs.at("user.note"), std::string("a\0b", 3));
}

TEST(TarReader, ForgetsAPaxHeaderAfterItsMember) {
    const auto entries = read_all(TarBuilder().pax({{"path", "long"}}).file("a", "").file("b", "").bytes());
    ASSERT_THAT(entries, SizeIs(2));
    EXPECT_EQ(entries[1].entry.name, "b");
}

TEST(TarReader, PassesOverGlobalHeaders) {
    const auto entries = read_all(TarBuilder().pax({{"path", "evil"}}, 'g').file("a", "").bytes());
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_EQ(entries[0].entry.name, "a");
}

// CVE-2025-62518: the header says 0, pax says N, and the content looks like a header.
TEST(TarReader, SkipsByThePaxSizeNotByTheHeaders) {
    const std::string forged = TarBuilder().file("forged", "").open_end();
    TarBuilder::Entry outer{"outer"};
    outer.content = forged;
    outer.size = 0;
    const auto entries =
        read_all(TarBuilder().pax({{"size", std::to_string(forged.size())}}).add(outer).file("after", "").bytes());
    ASSERT_THAT(entries, SizeIs(2));
    EXPECT_EQ(entries[0].content, forged);
    EXPECT_EQ(entries[1].entry.name, "after");
}

TEST(TarReader, ReadsGnuLongNamesAndLinks) {
    TarBuilder::Entry name{"././@LongLink", 'L'};
    name.content = std::string(200, 'n') + '\0';
    TarBuilder::Entry link{"././@LongLink", 'K'};
    link.content = std::string(210, 'l') + '\0';
    const auto entries = read_all(TarBuilder().add(name).add(link).symlink("n", "l").bytes());
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_EQ(entries[0].entry.name, std::string(200, 'n'));
    EXPECT_EQ(entries[0].entry.link, std::string(210, 'l'));
}

TEST(TarReader, ReadsNumbersInBase256) {
    std::array<char, 512> block{};
    block[0] = 'f';
    TarBuilder::number(block, 100, 8, 0644);
    block[108] = static_cast<char>(0x80);
    block[112] = 1;  // uid 2^24
    block[136] = static_cast<char>(0xff);
    for (std::size_t i = 137; i < 148; ++i) block[i] = static_cast<char>(0xff);  // mtime -1
    block[156] = '0';
    const auto entries = read_all(TarBuilder().raw(block).bytes());
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_EQ(entries[0].entry.uid, 1U << 24U);
    EXPECT_EQ(entries[0].entry.mtime, -1);
}

TEST(TarReader, RefusesNegativeAndHugeSizes) {
    for (const char first : {static_cast<char>(0xff), static_cast<char>(0xbf)}) {
        std::array<char, 512> block{};
        block[0] = 'f';
        block[124] = first;
        for (std::size_t i = 125; i < 136; ++i) block[i] = static_cast<char>(0xff);
        EXPECT_THAT(failure_of(TarBuilder().raw(block).bytes()), HasSubstr("no valid size"));
    }
    EXPECT_THAT(failure_of(TarBuilder().pax({{"size", "99999999999999999999"}}).file("a", "").bytes()),
                HasSubstr("pax record size"));
}

TEST(TarReader, RefusesAWrongChecksum) {
    TarBuilder::Entry entry{"a"};
    entry.wrong_checksum = true;
    EXPECT_THAT(failure_of(TarBuilder().add(entry).bytes()), HasSubstr("checksum"));
}

TEST(TarReader, RefusesCutArchivesWhereverTheyEnd) {
    const std::string whole = TarBuilder().pax({{"path", "long"}}).file("a", std::string(600, 'a')).open_end();
    for (std::size_t end = 1; end < whole.size(); ++end) {
        EXPECT_NE(failure_of(whole.substr(0, end)), "no failure") << "cut at " << end;
    }
    EXPECT_THAT(read_all(whole), SizeIs(1));  // end blocks may be missing
}

TEST(TarReader, RefusesALoneZeroBlock) {
    const std::string bytes =
        TarBuilder().file("a", "").open_end() + std::string(512, '\0') + TarBuilder().file("b", "").bytes();
    EXPECT_THAT(failure_of(bytes), HasSubstr("lone zero block"));
}

TEST(TarReader, RefusesPaxRecordsThatAreNone) {
    for (const std::string text : {"x\n", "5 a\n", "99 a=b\n", "6 a=bc", "0 a=b\n", "5 =b\n", "-7 a=b\n"}) {
        TarBuilder::Entry entry{"pax", 'x'};
        entry.content = text;
        EXPECT_THAT(failure_of(TarBuilder().add(entry).file("a", "").bytes()), HasSubstr("pax header")) << text;
    }
}

// CVE-2025-58183: extension headers without a bound.
TEST(TarReader, RefusesExtensionsAboveTheirBoundBeforeTheyAreRead) {
    for (const char type : {'x', 'g', 'L', 'K'}) {
        TarBuilder::Entry entry{"big", type};
        entry.size = 0x7fffffffff;
        const auto text = failure_of(TarBuilder().add(entry).bytes(), ErrorKind::invalid);
        EXPECT_THAT(text, HasSubstr("longer than 1048576")) << type;
    }
}

TEST(TarReader, RefusesTooManyEntriesAndTooLongNames) {
    TarLimits limits;
    limits.most_entries = 2;
    EXPECT_THAT(failure_of(TarBuilder().file("a", "").file("b", "").file("c", "").bytes(), ErrorKind::invalid, limits),
                HasSubstr("more than 2 entries"));
    EXPECT_THAT(
        failure_of(TarBuilder().pax({{"path", std::string(5000, 'a')}}).file("a", "").bytes(), ErrorKind::invalid),
        HasSubstr("more than 4096 bytes"));
}

TEST(TarReader, RefusesUnknownTypesByTheirLetter) {
    TarBuilder::Entry entry{"dump", 'D'};
    EXPECT_THAT(failure_of(TarBuilder().add(entry).bytes(), ErrorKind::unsupported), HasSubstr("type \"D\""));
}

TEST(TarReader, TakesAnOldDirectoryByItsSlash) {
    TarBuilder::Entry entry{"dir/", '\0'};
    EXPECT_EQ(read_all(TarBuilder().add(entry).bytes()).at(0).entry.type, TarType::directory);
}

TEST(TarReader, ReadsSparseFilesOfAllPaxForms) {
    const std::vector<SparseRange> ranges{{0, 3}, {1000, 2}};
    const auto check = [&](const TarBuilder& tar) {
        const auto entries = read_all(tar.bytes());
        ASSERT_THAT(entries, SizeIs(2));
        EXPECT_TRUE(entries[0].entry.sparse);
        EXPECT_EQ(entries[0].entry.size, 2000U);
        EXPECT_EQ(entries[0].entry.ranges, ranges);
        EXPECT_EQ(entries[0].content, "abcde");
        EXPECT_EQ(entries[1].entry.name, "next");
    };
    check(TarBuilder()
              .pax({{"GNU.sparse.size", "2000"},
                    {"GNU.sparse.offset", "0"},
                    {"GNU.sparse.numbytes", "3"},
                    {"GNU.sparse.offset", "1000"},
                    {"GNU.sparse.numbytes", "2"}})
              .file("s", "abcde")
              .file("next", ""));
    check(TarBuilder()
              .pax({{"GNU.sparse.size", "2000"}, {"GNU.sparse.map", "0,3,1000,2"}})
              .file("s", "abcde")
              .file("next", ""));
    std::string map = "2\n0\n3\n1000\n2\n";
    map.resize(512);
    check(TarBuilder()
              .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "2000"}})
              .file("s", map + "abcde")
              .file("next", ""));
}

TEST(TarReader, ReadsOldGnuSparseFiles) {
    std::array<char, 512> block{};
    block[0] = 's';
    TarBuilder::number(block, 124, 12, 5);
    block[156] = 'S';
    std::memcpy(block.data() + 257, "ustar  ", 8);
    TarBuilder::number(block, 386, 12, 0);
    TarBuilder::number(block, 398, 12, 3);
    TarBuilder::number(block, 410, 12, 1000);
    TarBuilder::number(block, 422, 12, 2);
    TarBuilder::number(block, 483, 12, 2000);
    const auto entries = read_all(TarBuilder().raw(block).data("abcde").bytes());
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_THAT(entries[0].entry.ranges, ElementsAre(SparseRange{0, 3}, SparseRange{1000, 2}));
    EXPECT_EQ(entries[0].content, "abcde");
}

TEST(TarReader, RefusesSparseMapsThatDoNotFit) {
    for (const std::string map :
         {"0,3,2,2", "0,3", "0,5,3000,0", "1998,5", "0,3,1000", "x,5", "0,18446744073709551615"}) {
        const auto bytes =
            TarBuilder().pax({{"GNU.sparse.size", "2000"}, {"GNU.sparse.map", map}}).file("s", "abcde").bytes();
        EXPECT_THAT(failure_of(bytes), HasSubstr("sparse map")) << map;
    }
}

TEST(TarReader, BoundsASparseMapBeforeTheData) {
    const std::string map = "99999999\n" + std::string(2U << 20U, '1');
    const auto bytes = TarBuilder()
                           .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "9"}})
                           .file("s", map)
                           .bytes();
    EXPECT_THAT(failure_of(bytes), HasSubstr("sparse map"));
    std::string many = "400000\n";
    for (int i = 0; i < 400000; ++i) many += "0\n0\n";
    const auto endless = TarBuilder()
                             .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "9"}})
                             .file("s", many)
                             .bytes();
    EXPECT_THAT(failure_of(endless, ErrorKind::invalid), HasSubstr("more than 1048576 bytes"));
}

}  // namespace
}  // namespace locald::image
