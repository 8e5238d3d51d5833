#include "core/base/digest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "core/base/error.hpp"

namespace locald {
namespace {

const std::string hex(64, 'e');

TEST(Digest, IsSha256And64HexDigits) {
    const auto digest = Digest::parse("sha256:" + hex);
    EXPECT_FALSE(digest.empty());
    EXPECT_EQ(digest.hex(), hex);
    EXPECT_EQ(digest.str(), "sha256:" + hex);
}

TEST(Digest, RefusesWhatWouldNotBeSafeAsAFileName) {
    for (const auto& text :
         {std::string(), hex, "sha256:" + hex.substr(1), "sha256:" + hex + "0", "sha256:" + std::string(64, 'E'),
          "sha512:" + hex, "SHA256:" + hex, std::string("sha256:../../../etc/passwd"), "sha256:" + std::string(64, '.'),
          "sha256:" + hex.substr(2) + "/.", " sha256:" + hex, "sha256:" + hex + "\n"}) {
        try {
            Digest::parse(text);
            FAIL() << text;
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::invalid);
        }
    }
}

TEST(Digest, IsEmptyUntilSet) {
    EXPECT_TRUE(Digest().empty());
    EXPECT_EQ(Digest().str(), "");
}

TEST(Digest, IsMadeOfRawBytes) {
    std::array<std::byte, 32> raw{};
    raw[0] = std::byte{0x0F};
    raw[31] = std::byte{0xA0};
    EXPECT_EQ(Digest::from_sha256(raw).hex(), "0f" + std::string(60, '0') + "a0");
    EXPECT_EQ(Digest::from_sha256(raw), Digest::parse("sha256:0f" + std::string(60, '0') + "a0"));
}

}  // namespace
}  // namespace locald
