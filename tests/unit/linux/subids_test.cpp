#include "backends/linux/admin/subids.hpp"

#include <gmock/gmock.h>

#include "core/posix/subids.hpp"

namespace locald::backends::admin {
namespace {

std::uint32_t first_free(const std::string& subuid, const std::string& subgid, const std::string& defs = "") {
    return posix::free_subid_range(subuid, subgid, defs).value().first;
}

TEST(FreeSubidRange, IsAboveEveryRangeOfBothFiles) {
    EXPECT_EQ(first_free("", ""), 131072U);
    EXPECT_EQ(first_free("a:100000:65536\n", ""), 196608U);
    EXPECT_EQ(first_free("a:100000:65536\n", "b:300000:1\n"), 327680U);
}

TEST(FreeSubidRange, PassesOverWhatIsNoRange) {
    EXPECT_EQ(first_free("# a comment\na:b:c\na:1\na:-1:5\na:99999999999:1\n", "\n\n"), 131072U);
}

TEST(FreeSubidRange, TakesItsStartAndItsSizeFromLoginDefs) {
    const std::string defs = "#SUB_UID_MIN 5\nSUB_UID_MIN\t\t 1000000\nSUB_UID_MINOR 7\nSUB_UID_COUNT 1000\n";
    EXPECT_EQ(first_free("", "", defs), 1000000U);
    EXPECT_EQ(posix::free_subid_range("", "", defs)->count, 1000U);
    EXPECT_EQ(first_free("", "", "SUB_UID_COUNT much\nSUB_UID_MIN 0\n"), 131072U);
}

TEST(FreeSubidRange, IsNoneWhereThereIsNoRoom) {
    EXPECT_FALSE(posix::free_subid_range("a:4294900000:60000\n", "", ""));
}

TEST(SubidOverlaps, AreBetweenTwoUsersAndNotBetweenTwoLinesOfOne) {
    const auto by_text = [](const std::string& one, const std::string& other) { return one == other; };
    const auto found = posix::subid_overlaps("a:100000:65536\nb:165536:5\nc:165535:1\na:100000:9\n", by_text);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().str(), "a and c have the ids 165535 to 165535");
    EXPECT_TRUE(posix::subid_overlaps("a:1:5\na:1:5\nb:6:1\n", by_text).empty());
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
