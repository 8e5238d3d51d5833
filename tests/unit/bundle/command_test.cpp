#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Words = std::vector<std::string>;

struct ArgsCase {
    const char* name;
    Words image_entrypoint, image_cmd;
    std::optional<std::string> entrypoint;
    Words command, expected;
};

class Args : public ::testing::TestWithParam<ArgsCase> {};

TEST_P(Args, AreEntrypointAndCommand) {
    Build build;
    build.image->entrypoint = GetParam().image_entrypoint;
    build.image->cmd = GetParam().image_cmd;
    build.options.entrypoint = GetParam().entrypoint;
    build.options.command = GetParam().command;
    EXPECT_EQ(build.process().args, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    All, Args,
    ::testing::Values(ArgsCase{"cmd", {}, {"sh", "-l"}, {}, {}, {"sh", "-l"}},
                      ArgsCase{"both", {"/entry"}, {"cmd"}, {}, {}, {"/entry", "cmd"}},
                      ArgsCase{"entrypoint", {"/entry"}, {}, {}, {}, {"/entry"}},
                      ArgsCase{"command_replaces_cmd", {"/entry"}, {"cmd"}, {}, {"a", "b"}, {"/entry", "a", "b"}},
                      ArgsCase{"command_alone", {}, {"cmd"}, {}, {"a"}, {"a"}},
                      ArgsCase{"entrypoint_drops_cmd", {"/entry"}, {"cmd"}, "/mine", {}, {"/mine"}},
                      ArgsCase{"entrypoint_with_command", {"/entry"}, {"cmd"}, "/mine", {"a"}, {"/mine", "a"}},
                      ArgsCase{"empty_entrypoint", {"/entry"}, {"cmd"}, "", {"a"}, {"a"}},
                      ArgsCase{"entrypoint_as_json", {"/entry"}, {}, R"(["/mine","-x"])", {"a"}, {"/mine", "-x", "a"}},
                      ArgsCase{"test_program", {}, {}, "[", {"-e", "/x", "]"}, {"[", "-e", "/x", "]"}}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Command, SaysWhatToDoWhenNothingIsNamed) {
    Build build;
    build.image->cmd.clear();
    Error error = error_of([&] { build.run(); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    EXPECT_FALSE(error.remedy().empty());
    build.image->cmd = {"sh"};
    build.options.entrypoint = "";
    EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("no command"));
    build.options.entrypoint.reset();
    build.image.reset();
    EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("plain root filesystem"));
}

TEST(Command, RefusesANulByteThatTheKernelWouldCutAt) {
    Build build;
    build.image->cmd = {std::string("/bin/true\0 -rf", 14)};
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
}

TEST(Init, StandsBeforeTheCommandAndIsMountedReadOnly) {
    Build build;
    build.options.init = true;
    const auto bundle = build.run();
    EXPECT_THAT(bundle.spec.process->args, ElementsAre("/dev/init", "init", "--", "/bin/sh"));
    const auto& last = bundle.spec.mounts.back();
    EXPECT_EQ(last.destination, "/dev/init");
    EXPECT_EQ(last.source, "/usr/lib/locald/locald-shim");
    EXPECT_THAT(last.options, Contains("ro"));
    EXPECT_THAT(last.options, Contains("bind"));
    EXPECT_THAT(last.options, Contains("nosuid"));
}

TEST(Init, NeedsAProgramAndTheDefaultDev) {
    Build build;
    build.options.init = true;
    build.options.mounts = {bind("/dev", "/dev")};
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
    build.options.mounts.clear();
    build.host.init_program.clear();
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::unsupported);
}

TEST(Environment, MergesByNameAndKeepsTheOrder) {
    Build build;
    build.image->env = {"B=1", "PATH=/opt/bin", "A=1", "B=2"};
    build.options.env = {{"C", "x=y"}, {"A", "2"}, {"C", "z"}, {"EMPTY", ""}};
    EXPECT_THAT(build.process().env, ElementsAre("B=2", "PATH=/opt/bin", "A=2", "C=z",
                                                 "EMPTY=", "HOSTNAME=0123456789ab", "container=locald", "HOME=/root"));
}

TEST(Environment, HasDefaultsThatNobodyLosesAValueTo) {
    Build build;
    build.options.tty = true;
    EXPECT_THAT(build.process().env,
                ElementsAre("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                            "HOSTNAME=0123456789ab", "TERM=xterm", "container=locald", "HOME=/root"));
    build.options.env = {{"HOME", "/h"}, {"TERM", "dumb"}, {"HOSTNAME", "n"}, {"container", "x"}, {"PATH", ""}};
    EXPECT_THAT(build.process().env, ElementsAre("HOME=/h", "TERM=dumb", "HOSTNAME=n", "container=x", "PATH="));
}

TEST(Environment, HasNoTermWithoutATerminal) { EXPECT_THAT(Build().process().env, Not(Contains(StartsWith("TERM=")))); }

TEST(Environment, TakesHomeFromThePasswdOfTheImage) {
    Build build;
    build.accounts.passwd += "web:x:5:5::/srv/web:/bin/sh\n";
    build.image->user = "web";
    EXPECT_THAT(build.process().env, Contains("HOME=/srv/web"));
    build.image->user = "77";
    EXPECT_THAT(build.process().env, Contains("HOME=/"));
}

TEST(Environment, PassesOverWhatIsNoAssignmentInTheImage) {
    Build build;
    build.image->env = {"NOVALUE", "=x", "GOOD=1", ""};
    const auto bundle = build.run();
    EXPECT_EQ(bundle.spec.process->env.front(), "GOOD=1");
    EXPECT_EQ(bundle.warnings.size(), 3U);
}

TEST(Environment, RefusesWrongNamesOfTheUser) {
    for (const char* name : {"", "A=B"}) {
        Build build;
        build.options.env = {{name, "x"}};
        EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid) << name;
    }
}

TEST(Environment, TellsBuildpacksImagesTheirPlatform) {
    Build build;
    EXPECT_THAT(build.process().env, Not(Contains(StartsWith("CNB_PLATFORM_API"))));
    build.image->labels["io.buildpacks.build.metadata"] = "{}";
    EXPECT_THAT(build.process().env, Contains("CNB_PLATFORM_API=0.12"));
    build.image->env = {"CNB_PLATFORM_API=0.14"};
    EXPECT_THAT(build.process().env, Contains("CNB_PLATFORM_API=0.14"));
}

TEST(WorkingDirectory, IsTheOptionElseTheImagesElseTheRoot) {
    Build build;
    EXPECT_EQ(build.process().cwd, "/");
    build.image->working_dir = "/srv//app/./x/..";
    EXPECT_EQ(build.process().cwd, "/srv/app");
    build.image->working_dir = "app";
    EXPECT_EQ(build.process().cwd, "/app");
    build.options.workdir = "/tmp/";
    EXPECT_EQ(build.process().cwd, "/tmp");
    build.options.workdir = "tmp";
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
}

// CVE-2024-21626.
TEST(WorkingDirectory, IsNeverThatOfAProcess) {
    for (const char* dir : {"/proc/self/fd/7", "/proc/self/fd/8/", "/proc/1/cwd", "/proc/thread-self/root",
                            "/proc/self", "//proc/./self/fd/3", "/x/../proc/12/fd/3"}) {
        Build build;
        build.image->working_dir = dir;
        EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid) << dir;
    }
    for (const char* dir : {"/proc", "/proc/sys", "/process/self"}) {
        Build build;
        build.image->working_dir = dir;
        EXPECT_EQ(build.process().cwd, dir);
    }
}

TEST(StopSignal, IsTheOptionElseTheImagesElseTerm) {
    Build build;
    EXPECT_EQ(build.run().stop_signal, "SIGTERM");
    build.image->stop_signal = "SIGRTMIN+3";
    const auto bundle = build.run();
    EXPECT_EQ(bundle.stop_signal, "SIGRTMIN+3");
    EXPECT_EQ(bundle.spec.annotations.at("org.opencontainers.image.stopSignal"), "SIGRTMIN+3");
    build.options.stop_signal = "9";
    EXPECT_EQ(build.run().stop_signal, "9");
}

TEST(StopSignal, OfTheImageIsOnlyWarnedAboutWhenItIsUnknown) {
    Build build;
    build.image->stop_signal = "SIGNAL";
    const auto bundle = build.run();
    EXPECT_EQ(bundle.stop_signal, "SIGTERM");
    EXPECT_THAT(bundle.warnings, ElementsAre(HasSubstr("SIGNAL")));
    build.options.stop_signal = "SIGNAL";
    EXPECT_EQ(error_of([&] { build.run(); }).kind(), ErrorKind::invalid);
}

}  // namespace
}  // namespace locald::bundle
