#include "shim/mounts/mount_options.hpp"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include "core/base/error.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/overlay.hpp"

namespace {

using locald::posix::IdMapping;
using locald::shim::parse_idmap_option;
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
    EXPECT_THAT(o.data, ElementsAre(Pair("mode", "755"), Pair("newinstance", std::nullopt), Pair("size", "1=2")));
    EXPECT_THAT(o.super, ElementsAre("sync"));
    EXPECT_EQ(o.set, 0U);
}

TEST(MountOptions, KnowsEveryNameOfTheSpecification) {
    const std::vector<std::string> names{
        "async",     "atime",        "bind",         "defaults",    "dev",        "diratime",    "dirsync",
        "exec",      "iversion",     "lazytime",     "loud",        "noatime",    "nodev",       "nodiratime",
        "noexec",    "noiversion",   "nolazytime",   "norelatime",  "nosuid",     "nosymfollow", "nostrictatime",
        "private",   "ratime",       "rbind",        "rdev",        "rdiratime",  "relatime",    "remount",
        "rexec",     "rnoatime",     "rnodev",       "rnodiratime", "rnoexec",    "rnorelatime", "rnostrictatime",
        "rnosuid",   "rnosymfollow", "ro",           "rprivate",    "rrelatime",  "rro",         "rrw",
        "rshared",   "rslave",       "rstrictatime", "rsuid",       "rsymfollow", "runbindable", "rw",
        "shared",    "silent",       "slave",        "strictatime", "suid",       "symfollow",   "sync",
        "tmpcopyup", "unbindable",   "idmap",        "ridmap"};
    for (const auto& name : names) {
        EXPECT_THAT(locald::shim::known_mount_options(), ::testing::Contains(name));
        EXPECT_THAT(parse_mount_options({name}).data, IsEmpty()) << name;
    }
}

TEST(MountOptions, TellsARemountFromABind) {
    const auto o = parse_mount_options({"remount", "bind", "ro"});
    EXPECT_TRUE(o.remount);
    EXPECT_FALSE(o.is_bind());
}

TEST(IdmapOption, HasTripletsThatMayCountFromTheContainersUserNamespace) {
    locald::oci::Linux config;
    config.uid_mappings = {{0, 0, 1}, {1, 2, 1000}};
    config.gid_mappings = {{0, 100, 10}};
    const auto maps = parse_idmap_option("uids=0-1-10#@1-3-10;gids=@2-10-5", config);
    EXPECT_THAT(maps.uids, ElementsAre(IdMapping{0, 1, 10}, IdMapping{1, 4, 10}));
    EXPECT_THAT(maps.gids, ElementsAre(IdMapping{2, 110, 5}));
    for (const char* bad : {"", "uids", "uids=", "uids=1", "uids=1-2", "uids=a-b-c", "uids=1-2-3-4",
                            "uids=1-2-4294967296", "uids=1-2-3;uids=1-2-3", "other=1-2-3", "gids=@50-1-1"}) {
        EXPECT_THROW(parse_idmap_option(bad, config), locald::Error) << bad;
    }
}

TEST(Overlay, CutsLayersAtColonsThatAreNotEscaped) {
    EXPECT_THAT(split_lowerdir("/a:/b\\:c:/d\\\\e"), ElementsAre("/a", "/b:c", "/d\\e"));
    EXPECT_THAT(split_lowerdir(""), IsEmpty());
}

}  // namespace
