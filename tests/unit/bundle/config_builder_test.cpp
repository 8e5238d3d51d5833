#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> namespaces(const Bundle& bundle) {
    std::vector<std::string> types;
    for (const auto& one : bundle.spec.linux_->namespaces) types.push_back(one.type);
    return types;
}

TEST(Config, SurvivesItsOwnText) {
    Build build;
    build.mapped().options.tty = true;
    build.options.memory_bytes = 64 << 20;
    const std::string text = oci::to_json(build.run().spec);
    EXPECT_EQ(oci::to_json(oci::parse_spec(text)), text);
    EXPECT_THAT(text, HasSubstr("\"ociVersion\": \"1.0.2\""));
}

TEST(Config, HasTheRootBesideIt) {
    const auto bundle = Build().run();
    EXPECT_EQ(bundle.spec.root->path, "rootfs");
    EXPECT_FALSE(bundle.spec.root->readonly);
}

TEST(Config, CarriesTheLayersOfTheImage) {
    Build build;
    const auto diff_id = Digest::parse("sha256:" + std::string(64, 'a'));
    build.image->diff_ids = {diff_id};
    EXPECT_THAT(build.run().layers, ElementsAre(diff_id));
}

TEST(Config, WorksWithoutAnImage) {
    Build build;
    build.image.reset();
    build.options.command = {"/bin/true"};
    const auto bundle = build.run();
    EXPECT_THAT(bundle.spec.process->args, ElementsAre("/bin/true"));
    EXPECT_THAT(bundle.layers, IsEmpty());
}

TEST(Config, ShowsATerminalOnlyWhenAsked) {
    Build build;
    build.options.console_size = oci::ConsoleSize{24, 80};
    EXPECT_FALSE(build.process().terminal);
    EXPECT_FALSE(build.process().console_size);
    build.options.tty = true;
    EXPECT_TRUE(build.process().terminal);
    EXPECT_EQ(build.process().console_size->width, 80U);
}

TEST(Namespaces, FollowNetworkAndMaps) {
    Build build;
    EXPECT_THAT(namespaces(build.run()), ElementsAre("pid", "ipc", "uts", "mount", "cgroup"));
    build.options.network = NetworkMode::none;
    EXPECT_THAT(namespaces(build.mapped().run()),
                ElementsAre("pid", "ipc", "uts", "mount", "cgroup", "network", "user"));
    build.host.cgroup_namespace = false;
    EXPECT_THAT(namespaces(build.run()), Not(Contains("cgroup")));
    EXPECT_EQ(build.run().spec.linux_->uid_mappings.size(), 2U);
}

TEST(Capabilities, AreDockersFourteenForRoot) {
    EXPECT_EQ(default_capabilities().size(), 14U);
    const auto sets = *Build().process().capabilities;
    EXPECT_EQ(sets.bounding, default_capabilities());
    EXPECT_EQ(sets.effective, sets.bounding);
    EXPECT_EQ(sets.permitted, sets.bounding);
    EXPECT_THAT(sets.inheritable, IsEmpty());
    EXPECT_THAT(sets.ambient, IsEmpty());
}

TEST(Capabilities, OfAnotherUserAreOnlyBounding) {
    Build build;
    build.options.user = "5";
    build.options.cap_add = {"NET_ADMIN"};
    const auto sets = *build.process().capabilities;
    EXPECT_THAT(sets.bounding, Contains("CAP_NET_ADMIN"));
    EXPECT_THAT(sets.effective, IsEmpty());
    EXPECT_THAT(sets.permitted, IsEmpty());
    EXPECT_THAT(sets.inheritable, IsEmpty());
}

struct CapabilityCase {
    std::vector<std::string> add, drop;
    std::size_t size;
    const char* held;
    const char* missing;
};

class CapabilityOptions : public ::testing::TestWithParam<CapabilityCase> {};

TEST_P(CapabilityOptions, ChangeTheBoundingSet) {
    Build build;
    build.options.cap_add = GetParam().add;
    build.options.cap_drop = GetParam().drop;
    const auto set = build.process().capabilities->bounding;
    EXPECT_EQ(set.size(), GetParam().size);
    if (*GetParam().held != '\0') {
        EXPECT_THAT(set, Contains(GetParam().held));
    }
    EXPECT_THAT(set, Not(Contains(GetParam().missing)));
}

INSTANTIATE_TEST_SUITE_P(All, CapabilityOptions,
                         ::testing::Values(CapabilityCase{{"sys_admin"}, {}, 15, "CAP_SYS_ADMIN", "CAP_BPF"},
                                           CapabilityCase{
                                               {"CAP_SYS_ADMIN", "SYS_ADMIN"}, {}, 15, "CAP_SYS_ADMIN", "CAP_BPF"},
                                           CapabilityCase{{}, {"NET_RAW", "cap_mknod"}, 12, "CAP_CHOWN", "CAP_NET_RAW"},
                                           CapabilityCase{{}, {"ALL"}, 0, "", "CAP_CHOWN"},
                                           CapabilityCase{{"CHOWN"}, {"all"}, 1, "CAP_CHOWN", "CAP_KILL"},
                                           CapabilityCase{{"ALL"}, {}, 41, "CAP_CHECKPOINT_RESTORE", "CAP_ALL"},
                                           CapabilityCase{{"ALL"}, {"SYS_ADMIN"}, 40, "CAP_BPF", "CAP_SYS_ADMIN"}));

TEST(Capabilities, RefuseAnUnknownNameByOption) {
    Build build;
    build.options.cap_drop = {"SYS_ADMN"};
    const Error error = error_of([&] { build.run(); });
    EXPECT_THAT(error.message(), HasSubstr("--cap-drop SYS_ADMN"));
}

TEST(Limits, AreInheritedUnlessAskedFor) {
    EXPECT_THAT(Build().process().rlimits, IsEmpty());
    const auto resources = *Build().run().spec.linux_->resources;
    EXPECT_FALSE(resources.memory || resources.cpu || resources.pids_limit);
}

TEST(Limits, BecomeResources) {
    Build build;
    build.options.memory_bytes = 64 << 20;
    build.options.cpu_quota_us = 50'000;
    build.options.pids_limit = 100;
    const auto resources = *build.run().spec.linux_->resources;
    EXPECT_EQ(resources.memory->limit, 64 << 20);
    EXPECT_EQ(resources.memory->swap, 128 << 20);
    EXPECT_EQ(resources.cpu->quota, 50'000);
    EXPECT_EQ(resources.cpu->period, 100'000U);
    EXPECT_EQ(resources.pids_limit, 100);
}

TEST(Limits, NeedNoCgroupForNoLimit) {
    Build build;
    build.options.pids_limit = -1;
    EXPECT_FALSE(build.run().spec.linux_->resources->pids_limit);
}

TEST(Limits, RefuseWhatCannotBe) {
    const auto refused = [](auto&& change) {
        Build build;
        change(build.options);
        return error_of([&] { build.run(); }).kind() == ErrorKind::invalid;
    };
    EXPECT_TRUE(refused([](RunOptions& o) { o.memory_bytes = (6 << 20) - 1; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.memory_bytes = -1; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.memory_bytes = INT64_MAX; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.cpu_quota_us = 999; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.cpu_quota_us = -5; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.pids_limit = -2; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.ulimits = {{"RLIMIT_NOFILE", 2, 1}}; }));
    EXPECT_TRUE(refused([](RunOptions& o) { o.ulimits = {{"nofile", 1, 1}}; }));
}

TEST(Limits, OfOneNameAreTheLast) {
    Build build;
    build.options.ulimits = {{"RLIMIT_NOFILE", 1, 2}, {"RLIMIT_CORE", 0, 0}, {"RLIMIT_NOFILE", 3, 4}};
    const auto limits = build.process().rlimits;
    ASSERT_EQ(limits.size(), 2U);
    EXPECT_EQ(limits[1].type, "RLIMIT_NOFILE");
    EXPECT_EQ(limits[1].hard, 4U);
}

TEST(Devices, AreDeniedButForTheUsualOnes) {
    const auto rules = Build().run().spec.linux_->resources->devices;
    EXPECT_FALSE(rules.front().allow);
    EXPECT_EQ(rules.front().access, "rwm");
    EXPECT_EQ(rules.size(), 12U);
}

TEST(Paths, OfTheHostAreMaskedOrReadOnly) {
    Build build;
    build.host.masked_globs = {"/sys/devices/system/cpu/cpu0/thermal_throttle"};
    const auto bundle = build.run();
    for (const char* path :
         {"/proc/kcore", "/proc/keys", "/proc/interrupts", "/proc/timer_list", "/proc/scsi", "/sys/firmware",
          "/sys/devices/virtual/powercap", "/sys/devices/system/cpu/cpu0/thermal_throttle"}) {
        EXPECT_THAT(bundle.spec.linux_->masked_paths, Contains(path));
    }
    EXPECT_THAT(bundle.spec.linux_->readonly_paths,
                ElementsAre("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
}

TEST(Cgroups, LieWhereTheHostSays) {
    Build build;
    build.host.cgroups_path = "/locald/user-0/x/c";
    EXPECT_EQ(build.run().spec.linux_->cgroups_path, "/locald/user-0/x/c");
}

TEST(Privileges, CanBeFrozen) {
    Build build;
    EXPECT_FALSE(build.process().no_new_privileges);
    build.options.no_new_privileges = true;
    EXPECT_TRUE(build.process().no_new_privileges);
}

TEST(Annotations, TellOfTheImage) {
    Build build;
    build.image->author = "A";
    build.image->variant = "v3";
    build.image->created = "2026-01-01T00:00:00Z";
    build.image->exposed_ports = {"8080/tcp", "53/udp"};
    const auto all = build.run().spec.annotations;
    EXPECT_EQ(all.at("org.opencontainers.image.os"), "linux");
    EXPECT_EQ(all.at("org.opencontainers.image.architecture"), "amd64");
    EXPECT_EQ(all.at("org.opencontainers.image.variant"), "v3");
    EXPECT_EQ(all.at("org.opencontainers.image.author"), "A");
    EXPECT_EQ(all.at("org.opencontainers.image.created"), "2026-01-01T00:00:00Z");
    EXPECT_EQ(all.at("org.opencontainers.image.exposedPorts"), "53/udp,8080/tcp");
}

TEST(Annotations, CarryLabelsThatWinOverTheImplicitOnes) {
    Build build;
    build.image->author = "A";
    build.image->labels = {{"org.opencontainers.image.author", "B"}, {"com.example.x", "y"}};
    const auto all = build.run().spec.annotations;
    EXPECT_EQ(all.at("org.opencontainers.image.author"), "B");
    EXPECT_EQ(all.at("com.example.x"), "y");
}

// CVE-2026-53488: names that a runtime or an engine acts on.
TEST(Annotations, NeverCarryALabelThatSteersSomebody) {
    Build build;
    build.image->labels = {{"locald.anything", "1"},
                           {"io.locald.x", "1"},
                           {"run.oci.handler", "krun"},
                           {"org.systemd.property.Delegate", "true"},
                           {"org.criu.config", "/etc/x"},
                           {"io.podman.annotations.privileged", "TRUE"},
                           {"io.kubernetes.cri.x", "1"},
                           {"org.opencontainers.runc.exec", "1"},
                           {"io.containers.trace-syscall", "of:/x"}};
    EXPECT_EQ(build.run().spec.annotations.size(), 3U);  // os, architecture, stop signal
}

TEST(Annotations, LeaveTheStopSignalToTheImagesOwnField) {
    Build build;
    build.image->labels = {{"org.opencontainers.image.stopSignal", "SIGKILL"}};
    const auto bundle = build.run();
    EXPECT_EQ(bundle.stop_signal, "SIGTERM");
    EXPECT_EQ(bundle.spec.annotations.at("org.opencontainers.image.stopSignal"), "SIGTERM");
}

TEST(Labels, ChangeNothingButAnnotations) {
    Build plain, labelled;
    labelled.image->labels = {
        {"locald.user", "0"}, {"user", "5"}, {"entrypoint", "/x"}, {"run.oci.hooks.stdout", "/x"}};
    auto one = plain.run().spec;
    auto two = labelled.run().spec;
    one.annotations.clear();
    two.annotations.clear();
    EXPECT_EQ(oci::to_json(one), oci::to_json(two));
}

}  // namespace
}  // namespace locald::bundle
