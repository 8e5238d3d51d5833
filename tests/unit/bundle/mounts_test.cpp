#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> destinations(const Bundle& bundle) {
    std::vector<std::string> out;
    out.reserve(bundle.spec.mounts.size());
    for (const auto& mount : bundle.spec.mounts) out.push_back(mount.destination);
    return out;
}

TEST(DefaultMounts, AreThoseOfEveryEngineParentsFirst) {
    EXPECT_THAT(destinations(Build().run()),
                ElementsAre("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup",
                            "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"));
}

TEST(DefaultMounts, HaveFilesRelativeToTheBundle) {
    const auto bundle = Build().run();
    const auto* hosts = find_mount(bundle.spec.mounts, "/etc/hosts");
    ASSERT_NE(hosts, nullptr);
    EXPECT_EQ(hosts->source, "hosts");
    EXPECT_EQ(hosts->type, "bind");
    EXPECT_THAT(hosts->options, ElementsAre("bind", "rprivate"));
    EXPECT_TRUE(bundle.files.contains("hosts"));
}

TEST(DefaultMounts, GiveTerminalsToTheirGroupOnlyWhereItIsMapped) {
    Build build;
    const auto options = [&] { return find_mount(build.run().spec.mounts, "/dev/pts")->options; };
    EXPECT_THAT(options(), Contains("gid=5"));
    build.mapped();
    EXPECT_THAT(options(), Contains("gid=5"));
    build.single();
    EXPECT_THAT(options(), Not(Contains("gid=5")));
}

TEST(DefaultMounts, SizeTheSharedMemory) {
    Build build;
    build.options.shm_bytes = 1234567;
    EXPECT_THAT(find_mount(build.run().spec.mounts, "/dev/shm")->options, Contains("size=1234567"));
}

TEST(DefaultMounts, BindSysWhereTheKernelWouldRefuseANewOne) {
    Build build;
    EXPECT_EQ(find_mount(build.run().spec.mounts, "/sys")->type, "sysfs");
    build.mapped();
    const auto bundle = build.run();
    const auto* sys = find_mount(bundle.spec.mounts, "/sys");
    EXPECT_EQ(sys->type, "bind");
    EXPECT_THAT(sys->options, ElementsAre("rbind", "rprivate", "nosuid", "noexec", "nodev", "ro", "rro"));
    build.options.network = NetworkMode::none;
    EXPECT_EQ(find_mount(build.run().spec.mounts, "/sys")->type, "sysfs");
}

TEST(DefaultMounts, HaveNoCgroupsWhereTheHostHasOldOnes) {
    Build build;
    build.host.cgroup_v2 = false;
    const auto bundle = build.run();
    EXPECT_EQ(find_mount(bundle.spec.mounts, "/sys/fs/cgroup"), nullptr);
    for (const auto& one : bundle.spec.linux_->namespaces) EXPECT_NE(one.type, "cgroup");
}

TEST(DefaultMounts, AreReadOnlyFilesUnderAReadOnlyRoot) {
    Build build;
    build.options.read_only = true;
    const auto bundle = build.run();
    EXPECT_TRUE(bundle.spec.root->readonly);
    EXPECT_THAT(find_mount(bundle.spec.mounts, "/etc/hosts")->options, Contains("ro"));
}

TEST(UserMounts, BindRecursivelyAndPrivately) {
    Build build;
    build.options.mounts = {bind("/srv", "/data/"), bind("/src", "/ro", true)};
    const auto bundle = build.run();
    const auto* data = find_mount(bundle.spec.mounts, "/data");
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(data->source, "/srv");
    EXPECT_THAT(data->options, ElementsAre("rbind", "rprivate"));
    EXPECT_THAT(find_mount(bundle.spec.mounts, "/ro")->options, ElementsAre("rbind", "rprivate", "ro", "rro"));
}

TEST(UserMounts, KeepTheUsersOptionsAndPassOverOtherEnginesWords) {
    Build build;
    auto mount = bind("/srv", "/data");
    mount.options = {"z", "cached", "rslave", "bind", "noexec"};
    build.options.mounts = {mount};
    EXPECT_THAT(find_mount(build.run().spec.mounts, "/data")->options, ElementsAre("rslave", "bind", "noexec"));
}

TEST(UserMounts, MakeTmpfsSafeUnlessAskedOtherwise) {
    Build build;
    MountOption tmp;
    tmp.type = MountOption::Type::tmpfs;
    tmp.destination = "/tmp";
    build.options.mounts = {tmp};
    EXPECT_THAT(find_mount(build.run().spec.mounts, "/tmp")->options,
                ElementsAre("nosuid", "nodev", "noexec", "mode=1777"));
    build.options.mounts[0].options = {"exec", "size=64m", "mode=700"};
    build.options.mounts[0].read_only = true;
    EXPECT_THAT(find_mount(build.run().spec.mounts, "/tmp")->options,
                ElementsAre("nosuid", "nodev", "exec", "size=64m", "mode=700", "ro"));
}

TEST(UserMounts, StandBehindTheDefaultsWithParentsFirst) {
    Build build;
    build.options.mounts = {bind("/a", "/x/y/z"), bind("/b", "/x"), bind("/c", "/dev/fuse")};
    const auto all = destinations(build.run());
    EXPECT_THAT(std::vector<std::string>(all.end() - 3, all.end()), ElementsAre("/x", "/dev/fuse", "/x/y/z"));
}

TEST(UserMounts, TakeThePlaceOfDefaults) {
    Build build;
    build.options.mounts = {bind("/h", "/etc/hosts"), bind("/s", "/dev/shm")};
    auto all = destinations(build.run());
    EXPECT_EQ(std::count(all.begin(), all.end(), "/etc/hosts"), 1);
    EXPECT_EQ(std::count(all.begin(), all.end(), "/dev/shm"), 1);
    build.options.mounts = {bind("/dev", "/dev"), bind("/sys", "/sys")};
    EXPECT_THAT(destinations(build.run()),
                ElementsAre("/proc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev", "/sys"));
}

class WrongDestinations : public ::testing::TestWithParam<const char*> {};

TEST_P(WrongDestinations, AreRefused) {
    Build build;
    build.options.mounts = {bind("/srv", GetParam())};
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
}

INSTANTIATE_TEST_SUITE_P(All, WrongDestinations,
                         ::testing::Values("", "data", "./data", "/", "//", "/.", "/x/..", "/../..", "/proc", "/proc/",
                                           "/proc/self/attr", "/x/../proc/sys", "/proc/../proc"));

TEST(UserMounts, MayReplaceWhatLxcfsReplaces) {
    Build build;
    build.options.mounts = {bind("/var/lib/lxcfs/proc/meminfo", "/proc/meminfo")};
    EXPECT_NE(find_mount(build.run().spec.mounts, "/proc/meminfo"), nullptr);
}

TEST(UserMounts, RefuseASourceThatIsNoPathOfTheHost) {
    for (const char* source : {"", "relative", "./x"}) {
        Build build;
        build.options.mounts = {bind(source, "/data")};
        EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("/data")) << source;
    }
}

TEST(UserMounts, RefuseTwoOnOnePlace) {
    Build build;
    build.options.mounts = {bind("/a", "/data"), bind("/b", "/data/./")};
    EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("twice"));
}

TEST(UserMounts, RefuseAnOptionThatHoldsAnother) {
    Build build;
    auto mount = bind("/a", "/data");
    mount.options = {"noexec,lowerdir=/etc"};
    build.options.mounts = {mount};
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
}

class HostileVolumes : public ::testing::TestWithParam<const char*> {};

// CVE-2022-23648 and CVE-2019-16884.
TEST_P(HostileVolumes, AreRefusedWithAndWithoutAMount) {
    for (const bool read_only : {false, true}) {
        Build build;
        build.image->volumes = {GetParam()};
        build.options.read_only = read_only;
        EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
    }
}

INSTANTIATE_TEST_SUITE_P(All, HostileVolumes,
                         ::testing::Values("/x/../../etc", "..", "/..", "x/../y", "/", "", ".", "/proc", "/proc/self",
                                           "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "//proc/", "/./dev/../dev"));

TEST(Volumes, NeedNoMountWhereTheRootIsWritable) {
    Build build;
    build.image->volumes = {"/var/lib/data"};
    EXPECT_EQ(find_mount(build.run().spec.mounts, "/var/lib/data"), nullptr);
}

TEST(Volumes, StayWritableUnderAReadOnlyRoot) {
    Build build;
    build.options.read_only = true;
    build.image->volumes = {"/var/lib/data", "/mine"};
    build.options.mounts = {bind("/srv", "/mine")};
    const auto bundle = build.run();
    const auto* volume = find_mount(bundle.spec.mounts, "/var/lib/data");
    ASSERT_NE(volume, nullptr);
    EXPECT_EQ(volume->type, "tmpfs");
    EXPECT_THAT(volume->options, Contains("tmpcopyup"));
    EXPECT_EQ(find_mount(bundle.spec.mounts, "/mine")->type, "bind");
}

}  // namespace
}  // namespace locald::bundle
