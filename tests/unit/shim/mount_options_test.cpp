#include "shim/mount_options.hpp"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include "shim/overlay.hpp"

namespace {

using locald::shim::parse_mount_options;
using locald::shim::split_lowerdir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(MountOptions, TakesTheLastWord) {
    const auto o = parse_mount_options({"ro", "rw", "nosuid"});
    EXPECT_EQ(o.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOSUID));
    EXPECT_EQ(o.clear, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    EXPECT_EQ(parse_mount_options({"rw", "ro"}).clear, 0U);
}

TEST(MountOptions, ClearsTheWholeAccessTimeFieldBeforeItSetsOne) {
    const auto o = parse_mount_options({"noatime", "strictatime"});
    EXPECT_EQ(o.set, static_cast<std::uint64_t>(MOUNT_ATTR_STRICTATIME));
    EXPECT_EQ(o.clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
}

TEST(MountOptions, KeepsRecursiveOnesApart) {
    const auto o = parse_mount_options({"rbind", "rro", "rslave", "noexec"});
    EXPECT_TRUE(o.recursive_bind);
    EXPECT_TRUE(o.is_bind());
    EXPECT_EQ(o.recursive_set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
    EXPECT_EQ(o.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOEXEC));
    EXPECT_EQ(o.propagation, static_cast<unsigned long>(MS_SLAVE));
    EXPECT_TRUE(o.propagation_recursive);
    EXPECT_THAT(o.data, IsEmpty());
}

TEST(MountOptions, HandsTheRestToTheFileSystem) {
    const auto o = parse_mount_options({"mode=755", "newinstance", "size=1=2", "sync"});
    EXPECT_THAT(o.data, ElementsAre(Pair("mode", "755"), Pair("newinstance", std::nullopt), Pair("size", "1=2"),
                                    Pair("sync", std::nullopt)));
    EXPECT_EQ(o.set, 0U);
}

TEST(Overlay, CutsLayersAtColonsThatAreNotEscaped) {
    EXPECT_THAT(split_lowerdir("/a:/b\\:c:/d\\\\e"), ElementsAre("/a", "/b:c", "/d\\e"));
    EXPECT_THAT(split_lowerdir(""), IsEmpty());
}

}  // namespace
