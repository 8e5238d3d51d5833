#include "core/image/decompress.hpp"

#include <gmock/gmock.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <array>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/image/layer_stream.hpp"

namespace locald::image {
namespace {

using ::testing::HasSubstr;

std::string gzip(std::string text) {
    std::string packed(text.size() + 4096, '\0');
    isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.end_of_stream = 1;
    stream.next_in = reinterpret_cast<std::uint8_t*>(text.data());
    stream.avail_in = static_cast<std::uint32_t>(text.size());
    stream.next_out = reinterpret_cast<std::uint8_t*>(packed.data());
    stream.avail_out = static_cast<std::uint32_t>(packed.size());
    EXPECT_EQ(isal_deflate_stateless(&stream), COMP_OK);
    packed.resize(stream.total_out);
    return packed;
}

std::string zstd(const std::string& text) {
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
    return packed;
}

std::string noise(std::size_t size) {
    std::string text(size, '\0');
    unsigned state = 1;
    for (char& c : text) {
        state = state * 1103515245U + 12345U;
        c = static_cast<char>((state >> 16U) % 64U);
    }
    return text;
}

std::string unpack(const std::string& packed, std::size_t piece = 1000) {
    MemoryInput input(packed);
    const auto plain = decompress(input);
    std::string text;
    std::string block(piece, '\0');
    for (std::size_t n = plain->read(std::as_writable_bytes(std::span(block))); n != 0;
         n = plain->read(std::as_writable_bytes(std::span(block)))) {
        text.append(block, 0, n);
    }
    return text;
}

std::string failure_of(const std::string& packed) {
    try {
        unpack(packed);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::corrupt);
        return e.what();
    }
    return "no failure";
}

TEST(Decompress, UnpacksEachKindByItsFirstBytes) {
    const std::string text = noise(700000);
    for (const std::size_t piece : {1000U, 1U << 20U}) {
        EXPECT_EQ(unpack(text, piece), text);
        EXPECT_EQ(unpack(gzip(text), piece), text);
        EXPECT_EQ(unpack(zstd(text), piece), text);
    }
}

TEST(Decompress, UnpacksAllMembersAndFrames) {
    EXPECT_EQ(unpack(gzip("one") + gzip("") + gzip("two")), "onetwo");
    const std::string skippable("\x51\x2a\x4d\x18\x03\0\0\0abc", 11);
    EXPECT_EQ(unpack(skippable + zstd("one") + skippable + zstd("two")), "onetwo");
}

TEST(Decompress, PassesOverWhatFollowsTheLastGzipMember) {
    EXPECT_EQ(unpack(gzip("one") + std::string(1000, '\0')), "one");
    EXPECT_EQ(unpack(gzip("one") + "rubbish"), "one");
}

TEST(Decompress, RefusesCutData) {
    const std::string text = noise(3000);
    for (const auto& packed : {gzip(text), zstd(text)}) {
        for (std::size_t end = 5; end < packed.size(); end += 7) {
            EXPECT_NE(failure_of(packed.substr(0, end)), "no failure") << end;
        }
    }
}

TEST(Decompress, RefusesAWrongGzipChecksumAndLength) {
    std::string packed = gzip(noise(3000));
    packed[packed.size() - 8] = static_cast<char>(packed[packed.size() - 8] ^ 1);
    EXPECT_THAT(failure_of(packed), HasSubstr("checksum"));
}

TEST(Decompress, RefusesAWindowThatWouldEatTheMemory) {
    // magic, descriptor: no single segment, no checksum; window descriptor: exponent 21 → 2 GiB
    const std::string frame("\x28\xb5\x2f\xfd\x00\xa8\x01\0\0", 9);
    EXPECT_THAT(failure_of(frame), HasSubstr("too much memory"));
}

TEST(LayerStream, HashesToTheVeryEnd) {
    const std::string text = noise(9'000'000);
    const std::string packed = gzip(text);
    MemoryInput input(packed);
    LayerStream stream(input);
    EXPECT_FALSE(stream.next().empty());  // the rest is not read by us
    EXPECT_EQ(stream.finish(), sha256_of(text));
    EXPECT_EQ(stream.unpacked_bytes(), text.size());
    EXPECT_EQ(stream.packed_bytes(), packed.size());
}

TEST(LayerStream, EndsItsThreadsWhenNobodyReads) {
    const std::string packed = gzip(noise(9'000'000));
    for (int i = 0; i < 20; ++i) {
        MemoryInput input(packed);
        LayerStream stream(input);
        if (i % 2 == 0) stream.next();
    }
}

TEST(LayerStream, HandsOutWhatCameBeforeTheDamage) {
    std::string packed = gzip(noise(3'000'000));
    packed.resize(packed.size() - 100);
    MemoryInput input(packed);
    LayerStream stream(input);
    EXPECT_FALSE(stream.next().empty());
    EXPECT_THROW(stream.finish(), Error);
}

TEST(LayerStream, StopsABomb) {
    const std::string packed = gzip(std::string(4'000'000, '\0'));
    StreamLimits limits;
    limits.ratio_from = 1'000'000;
    limits.most_ratio = 50;
    MemoryInput input(packed);
    LayerStream stream(input, limits);
    EXPECT_THROW(stream.finish(), Error);
    limits = {};
    limits.most_bytes = 1'000'000;
    MemoryInput again(packed);
    LayerStream bounded(again, limits);
    EXPECT_THROW(bounded.finish(), Error);
}

}  // namespace
}  // namespace locald::image
