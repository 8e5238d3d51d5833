#include "backends/linux/admin/subids.hpp"

#include <gmock/gmock.h>

namespace locald::backends::admin {
namespace {

TEST(FirstFreeSubid, IsAboveEveryRangeOfBothFiles) {
    EXPECT_EQ(first_free_subid("", ""), 131072U);
    EXPECT_EQ(first_free_subid("a:100000:65536\n", ""), 196608U);
    EXPECT_EQ(first_free_subid("a:100000:65536\n", "b:300000:1\n"), 327680U);
}

TEST(FirstFreeSubid, PassesOverWhatIsNoRange) {
    EXPECT_EQ(first_free_subid("# a comment\na:b:c\na:1\na:-1:5\na:99999999999:1\n", "\n\n"), 131072U);
}

TEST(IsLocalUser, TakesWholeNamesAtTheFrontOfALine) {
    const std::string passwd = "root:x:0:0::/root:/bin/sh\nann:x:1:1:bob:/:/bin/sh\n";
    EXPECT_TRUE(is_local_user(passwd, "root"));
    EXPECT_TRUE(is_local_user(passwd, "ann"));
    EXPECT_FALSE(is_local_user(passwd, "an"));
    EXPECT_FALSE(is_local_user(passwd, "bob"));
    EXPECT_FALSE(is_local_user("", "ann"));
}

}  // namespace
}  // namespace locald::backends::admin
