#include "shim/mounts/mount_table.hpp"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace {

using namespace locald::shim;

constexpr const char* text =
    "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 21 0:25 / /a\\040b rw - tmpfs t rw\n"
    "31 30 0:26 /x /a\\040b/c ro shared:2 master:3 - proc proc rw\n"
    "40 41 0:27 / /loop rw - tmpfs t rw\n"
    "41 40 0:27 / /loop rw - tmpfs t rw\n"
    "50 21 0:28 / /half rw\n"
    "x 21 0:28 / /no rw - tmpfs t rw\n";

TEST(MountTable, HasTheLinesThatAreWhole) {
    const auto table = parse_mount_table(text);
    ASSERT_EQ(table.size(), 5U);
    EXPECT_EQ(table[0].device, makedev(8, 1));
    EXPECT_EQ(table[1].place, "/a b");
    EXPECT_EQ(table[2].root, "/x");
    EXPECT_EQ(table[2].type, "proc");
}

TEST(MountTable, TellsWhatIsOnAMount) {
    const auto table = parse_mount_table(text);
    EXPECT_TRUE(is_on_mount(table, 31, 31));
    EXPECT_TRUE(is_on_mount(table, 31, 30));
    EXPECT_TRUE(is_on_mount(table, 31, 21));
    EXPECT_FALSE(is_on_mount(table, 30, 31));
    EXPECT_FALSE(is_on_mount(table, 40, 21)) << "a circle ends";
}

TEST(MountTable, PassesOverWhatIsNoLine) {
    for (const char* line : {"37 35 0:2 /   1 24:0 / / rw - tmpfs none rw", "37 35 0:2 / relative rw - tmpfs none rw",
                             "37 35 0:2 / /x - tmpfs", "37 35 0:2 / /x rw shared:1"}) {
        EXPECT_TRUE(parse_mount_table(line).empty()) << line;
    }
    const auto table = parse_mount_table("37 35 0:2 / /a\\9z\\040b rw - tmpfs none rw\n");
    ASSERT_EQ(table.size(), 1U);
    EXPECT_EQ(table.front().place, "/a\\9z b");
}

}  // namespace
