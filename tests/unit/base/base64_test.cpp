#include "core/base/base64.hpp"

#include <gtest/gtest.h>

#include <string>

namespace locald {
namespace {

TEST(Base64, IsReadStrictlyAndWritten) {
    EXPECT_EQ(base64_decode(""), "");
    EXPECT_EQ(base64_decode("YQ=="), "a");
    EXPECT_EQ(base64_decode("YWI="), "ab");
    EXPECT_EQ(base64_decode("YWJj"), "abc");
    for (const char* text : {"Y", "YQ", "YQ=", "Y===", "====", "YQ==YQ==", "Y=Q=", "Y Q=", "YQ-_"}) {
        EXPECT_EQ(base64_decode(text), std::nullopt) << text;
    }
    for (const std::string text : {"", "a", "ab", "abc", "\xff\x00\x10"})
        EXPECT_EQ(base64_decode(base64_encode(text)), text);
}

}  // namespace
}  // namespace locald
