#include <gmock/gmock.h>

#include "core/base/error.hpp"
#include "shim/criu/external.hpp"
#include "shim/criu/options.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* container =
    "78 45 254:0 /bundle/rootfs / rw,relatime - ext4 /dev/vda rw\n"
    "79 78 0:51 / /proc rw - proc proc rw\n"
    "80 78 0:53 / /dev rw - tmpfs tmpfs rw\n"
    "84 78 0:56 / /with\\040blank rw shared:1 - tmpfs tmpfs rw\n"
    "128 78 0:38 /one /cgroup rw - cgroup2 cgroup rw\n"
    "129 78 254:0 /other/data /data rw - ext4 /dev/vda rw\n"
    "130 79 0:51 /sys /proc/sys ro - proc proc rw\n"
    "131 78 254:0 /bundle/rootfs/etc /copy rw - ext4 /dev/vda rw\n"
    "132 79 0:6 /null /proc/keys ro - devtmpfs devtmpfs rw\n";
constexpr const char* host =
    "20 1 254:0 / / rw - ext4 /dev/vda rw\n"
    "21 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
    "22 20 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";

oci::Spec spec_with_binds() {
    return oci::parse_spec(R"({"ociVersion":"1.3.0","root":{"path":"rootfs"},"linux":{},"mounts":[
        {"destination":"/data/","source":"data","options":["rbind"]},
        {"destination":"/dev","type":"tmpfs","source":"tmpfs"}]})");
}

std::vector<std::string> shown(const std::vector<CriuExternals::MountPoint>& mounts) {
    std::vector<std::string> texts;
    for (const auto& mount : mounts) texts.push_back(mount.destination + "=" + mount.source);
    return texts;
}

TEST(CriuExternal, AreBindsAndPartsOfWhatTheContainerDoesNotHave) {
    EXPECT_THAT(shown(external_mounts(spec_with_binds(), parse_mountinfo(container), parse_mountinfo(host))),
                ElementsAre("/cgroup=/sys/fs/cgroup/one", "/data=", "/proc/keys=/dev/null"));
}

TEST(CriuExternal, AreReadWithTheirEscapes) {
    const auto lines = parse_mountinfo(container);
    ASSERT_EQ(lines.size(), 9U);
    EXPECT_EQ(lines[3].place, "/with blank");
    EXPECT_EQ(lines[3].type, "tmpfs");
    EXPECT_THAT(parse_mountinfo("not a line\n1 2 3\n"), IsEmpty());
}

TEST(CriuExternal, SurviveTheirFile) {
    const CriuExternals externals{{{"/data", ""}, {"/k", "/dev/null"}}, {"pipe:[3]", "", "file[1:2]"}, {{"net", "4"}}};
    const CriuExternals again = parse_externals(to_json(externals));
    EXPECT_EQ(shown(again.mounts), shown(externals.mounts));
    EXPECT_EQ(again.streams, externals.streams);
    EXPECT_EQ(again.namespaces, externals.namespaces);
    EXPECT_THROW(parse_externals("{}"), Error);
    EXPECT_THROW(parse_externals("no json"), Error);
}

TEST(CriuExternal, AreNamedAsCriuWantsThem) {
    const CriuExternals externals{
        {{"/data", ""}, {"/k", "/dev/null"}}, {"pipe:[3]", "file[1:2]", "file[1:2]"}, {{"net", "4"}}};
    EXPECT_THAT(dump_arguments(externals),
                ElementsAre("--external", "mnt[/data]:/data", "--external", "mnt[/k]:/k", "--external", "file[1:2]",
                            "--external", "file[1:2]", "--external", "net[4]:extRootNetNS"));
    const auto restored = restore_arguments(externals, spec_with_binds(), "/bundle");
    EXPECT_THAT(restored.words, ElementsAre("--external", "mnt[/data]:/bundle/data", "--external", "mnt[/k]:/dev/null",
                                            "--inherit-fd", "fd[10]:pipe:[3]", "--inherit-fd", "fd[11]:file[1:2]"));
    EXPECT_THAT(restored.descriptors, ElementsAre(std::pair(0, 10), std::pair(1, 11)));
}

TEST(CriuExternal, MustBeBoundByTheConfiguration) {
    EXPECT_THROW(restore_arguments({{{"/gone", ""}}, {}, {}}, spec_with_binds(), "/bundle"), Error);
}

CriuOptions parse(const std::vector<std::string>& words, bool restore) {
    Walker walker(words, 0, restore ? "restore" : "checkpoint");
    return parse_criu({}, walker, restore);
}

TEST(CriuOptions, AreReadAsEnginesWriteThem) {
    const auto checkpoint =
        parse({"--file-locks", "--image-path", "/i", "--work-path", "/w", "--leave-running", "one"}, false);
    EXPECT_TRUE(checkpoint.file_locks && checkpoint.leave_running);
    EXPECT_EQ(checkpoint.image_path + checkpoint.work_path + checkpoint.id, "/i/wone");
    EXPECT_EQ(parse({"--image-path=/i", "one"}, false).work_path, "/i");
    const auto restore = parse({"--bundle", "/b", "--pid-file", "/p", "--detach", "--image-path", "/i", "one"}, true);
    EXPECT_TRUE(restore.detach);
    EXPECT_EQ(restore.bundle + restore.pid_file, "/b/p");
}

TEST(CriuOptions, RefuseWhatCriuDoesNotKnow) {
    EXPECT_THROW(parse({"--manage-cgroups-mode", "loose", "one"}, false), UsageError);
    EXPECT_THROW(parse({"--page-server", "address", "one"}, false), UsageError);
    EXPECT_THROW(parse({"--empty-ns", "pid", "one"}, false), UsageError);
    EXPECT_THROW(parse({"--detach", "one"}, false), UsageError);
    EXPECT_THROW(parse({"--leave-running", "one"}, true), UsageError);
    EXPECT_THROW(parse({}, true), UsageError);
}

}  // namespace
}  // namespace locald::shim
