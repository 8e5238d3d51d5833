#include <gmock/gmock.h>

#include "core/base/error.hpp"
#include "shim/cgroup/layout.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* hybrid_mounts =
    "23 1 254:0 / / rw - ext4 /dev/root rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n"
    "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* hybrid_own =
    "9:name=systemd:/\n5:devices:/\n4:memory:/jobs/a\n2:cpu,cpuacct:/\n0::/slice/me.scope\n";

constexpr const char* pure_v2 = "24 1 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

TEST(CgroupHost, IsHybridWithControllersOnBothSides) {
    const auto host = parse_cgroup_host(hybrid_mounts, hybrid_own);
    EXPECT_EQ(host.layout(), CgroupLayout::hybrid);
    ASSERT_NE(host.v2(), nullptr);
    EXPECT_EQ(host.v2()->mount_point, "/sys/fs/cgroup/unified");
    EXPECT_EQ(host.v2()->own, "slice/me.scope");
    ASSERT_NE(host.v1("memory"), nullptr);
    EXPECT_EQ(host.v1("memory")->own, "jobs/a");
    EXPECT_EQ(host.v1("cpuacct"), host.v1("cpu"));
    EXPECT_EQ(host.v1("hugetlb"), nullptr);
}

TEST(CgroupHost, IsV2WithOneMount) {
    const auto host = parse_cgroup_host(pure_v2, "0::/\n");
    EXPECT_EQ(host.layout(), CgroupLayout::v2);
    EXPECT_EQ(host.v2()->own, "");
}

TEST(CgroupHost, CountsANamedHierarchyBesideV2AsV2) {
    const auto host = parse_cgroup_host(std::string(pure_v2) + "9 1 0:3 / /run/x rw - cgroup x rw,name=systemd\n", "");
    EXPECT_EQ(host.layout(), CgroupLayout::v2);
}

TEST(CgroupHost, IsV1WithoutAUnifiedMount) {
    const auto host =
        parse_cgroup_host("35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/\n");
    EXPECT_EQ(host.layout(), CgroupLayout::v1);
}

TEST(CgroupHost, IsNoneWithNothingOrNonsense) {
    EXPECT_EQ(parse_cgroup_host("", "").layout(), CgroupLayout::none);
    for (const char* text :
         {"\n\n", "1 2", "x y z / / - cgroup2", "1 2 3 4 5 6 7", "- - - - - - - -",
          "1 2 0:1 / relative rw - cgroup2 c rw", "1 2 0:1 / /m rw - cgroup c rw,unknown_controller"}) {
        EXPECT_EQ(parse_cgroup_host(text, text).layout(), CgroupLayout::none) << text;
    }
}

TEST(CgroupHost, PassesOverMountsThatOthersHide) {
    const std::string text = std::string(pure_v2) +
                             "50 24 0:99 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                             "51 50 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
    const auto host = parse_cgroup_host(text, "0::/\n8:pids:/\n");
    EXPECT_EQ(host.layout(), CgroupLayout::v1);
}

TEST(CgroupHost, PrefersTheUsualPlaceOfAHierarchyMountedTwice) {
    const std::string twice = std::string("60 1 0:21 / /srv/root/cg rw - cgroup2 cgroup2 rw\n") + pure_v2;
    EXPECT_EQ(parse_cgroup_host(twice, "0::/\n").v2()->mount_point, "/sys/fs/cgroup");
}

TEST(CgroupHost, UnescapesMountPoints) {
    const auto host = parse_cgroup_host("24 1 0:21 / /mnt/a\\040b\\134 rw - cgroup2 cgroup2 rw\n", "0::/\n");
    ASSERT_NE(host.v2(), nullptr);
    EXPECT_EQ(host.v2()->mount_point, "/mnt/a b\\");
}

TEST(CgroupHost, SeesItsOwnCgroupBelowTheMountedRoot) {
    const char* mount = "24 1 0:21 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    EXPECT_EQ(parse_cgroup_host(mount, "0::/docker/abc/x/y\n").v2()->own, "x/y");
    EXPECT_EQ(parse_cgroup_host(mount, "0::/docker/abcd\n").v2()->own, "");
    EXPECT_EQ(parse_cgroup_host(mount, "0::/../other\n").v2()->own, "");
}

TEST(CgroupHost, FindsTheHierarchyOfAPathByComponents) {
    const auto host = parse_cgroup_host(hybrid_mounts, hybrid_own);
    EXPECT_EQ(host.of("/sys/fs/cgroup/pids/a/b"), host.v1("pids"));
    EXPECT_EQ(host.of("/sys/fs/cgroup/pidsx/a"), nullptr);
    EXPECT_EQ(host.of("/etc"), nullptr);
}

TEST(CgroupsPath, IsCleanedButKeepsItsLeadingSlash) {
    EXPECT_EQ(clean_cgroups_path("//a///b/"), "/a/b");
    EXPECT_EQ(clean_cgroups_path("a/b"), "a/b");
    EXPECT_EQ(clean_cgroups_path(""), "");
}

TEST(CgroupsPath, RefusesWhatLeavesTheTreeOrIsItsRoot) {
    for (const std::string path : {"/a/../b", "..", "/..", "a/./b", "/", "//", "/a\nb"}) {
        EXPECT_THROW(clean_cgroups_path(path), Error) << path;
    }
    EXPECT_THROW(clean_cgroups_path(std::string("/a\0b", 4)), Error);
    EXPECT_THROW(clean_cgroups_path("/" + std::string(256, 'n')), Error);
    EXPECT_NO_THROW(clean_cgroups_path("/" + std::string(255, 'n') + "/..b"));
}

TEST(CgroupPlace, IsBelowTheHierarchysRootWhenAbsolute) {
    const auto host = parse_cgroup_host(hybrid_mounts, hybrid_own);
    EXPECT_EQ(place_in(*host.v2(), "/locald/user-0/x/c", "x"), "locald/user-0/x/c");
    EXPECT_EQ(place_in(*host.v1("memory"), "/locald/user-0/x/c", "x"), "locald/user-0/x/c");
}

TEST(CgroupPlace, IsBesideOurOwnOnV2AndBelowItOnV1WhenRelative) {
    const auto host = parse_cgroup_host(hybrid_mounts, hybrid_own);
    EXPECT_EQ(place_in(*host.v2(), "a/b", "x"), "slice/a/b");
    EXPECT_EQ(place_in(*host.v1("memory"), "a/b", "x"), "jobs/a/a/b");
    EXPECT_EQ(place_in(*host.v1("pids"), "", "x"), "x");
}

TEST(CgroupPlace, HasLimitsOneLevelUpOnlyInOurOwnTree) {
    EXPECT_EQ(limits_place("locald/user-1000/web/c"), "locald/user-1000/web");
    EXPECT_EQ(limits_place("user.slice/x/locald-web/c"), "user.slice/x/locald-web");
    EXPECT_EQ(limits_place("/sys/fs/cgroup/locald/user-0/c/c"), "/sys/fs/cgroup/locald/user-0/c");
    EXPECT_EQ(limits_place("docker/c"), "docker/c");
    EXPECT_EQ(limits_place("user-1000.slice/web/c"), "user-1000.slice/web/c");
    EXPECT_EQ(limits_place("c"), "c");
    EXPECT_EQ(limits_place("locald/user-1000/web/cc"), "locald/user-1000/web/cc");
}

std::vector<std::string> joined(const char* mounts, const std::vector<std::string>& asked) {
    const auto host = parse_cgroup_host(mounts, "");
    std::vector<std::string> names;
    for (const auto* mount : hierarchies_for(host, asked))
        names.push_back(mount->v2 ? "v2" : mount->controllers.front());
    return names;
}

TEST(Hierarchies, OfAHybridHostAreV2AloneWhenNothingIsAsked) {
    EXPECT_THAT(joined(hybrid_mounts, {}), ElementsAre("v2"));
}

TEST(Hierarchies, OfAHybridHostCostOneMigrationForAll) {
    EXPECT_THAT(joined(hybrid_mounts, {"memory"}), ElementsAre("v2", "memory", "pids", "cpu"));
    EXPECT_THAT(joined(hybrid_mounts, {"devices"}), ElementsAre("v2", "devices", "memory", "pids", "cpu"));
}

TEST(Hierarchies, OfV1HaveTheFreezerToKillWith) {
    const std::string v1 = std::string(hybrid_mounts).substr(0, std::string(hybrid_mounts).find("41 31"));
    EXPECT_THAT(joined(v1.c_str(), {}), ElementsAre("freezer", "memory", "pids", "cpu"));
}

TEST(Hierarchies, NeverHaveSystemdsNamedOne) {
    for (const auto& name : joined(hybrid_mounts, {"memory", "name=nothing", "freezer"})) {
        EXPECT_THAT(name, ::testing::Not(HasSubstr("systemd")));
    }
}

}  // namespace
}  // namespace locald::shim
