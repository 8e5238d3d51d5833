#include "cli/detach_keys.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace locald::cli {
namespace {

TEST(DetachKeys, AreFoundInWhatIsTyped) {
    DetachKeys keys("ctrl-p,ctrl-q");
    EXPECT_EQ(keys.take("ab"), "ab");
    EXPECT_EQ(keys.take("c\x10"), "c");
    EXPECT_FALSE(keys.found());
    EXPECT_EQ(keys.take("\x11late"), "");
    EXPECT_TRUE(keys.found());
}

TEST(DetachKeys, GiveBackWhatOnlyBeganLikeThem) {
    DetachKeys keys("ctrl-p,ctrl-q");
    EXPECT_EQ(keys.take("\x10x"), "\x10x");
    EXPECT_EQ(keys.take("\x10\x10"), "\x10");
    EXPECT_EQ(keys.take("\x11"), "");
    EXPECT_TRUE(keys.found());
}

TEST(DetachKeys, AreSingleCharactersToo) {
    DetachKeys keys("q,ctrl-@,ctrl-[");
    EXPECT_EQ(keys.take(std::string("aq\0\x1B", 4)), "a");
    EXPECT_TRUE(keys.found());
}

TEST(DetachKeys, AreNeverFoundWhenThereAreNone) {
    DetachKeys keys;
    EXPECT_EQ(keys.take("\x10\x11"), "\x10\x11");
    EXPECT_FALSE(keys.found());
}

TEST(DetachKeys, RefuseWhatIsNoKey) {
    for (const char* text : {"", "ctrl-", "ctrl-?", "abc", "a,,b", "ctrl-ab"}) {
        EXPECT_THROW(DetachKeys{text}, Error) << text;
    }
}

}  // namespace
}  // namespace locald::cli
