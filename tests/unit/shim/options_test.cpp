#include "shim/options/options.hpp"

#include <gmock/gmock.h>

#include "shim/verbs/verbs.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

Options bundle(const Words& words) {
    Walker walker(words, 0, "bundle", 125);
    return parse_bundle({}, walker);
}

Options make(const Words& words, bool create = false) {
    Walker walker(words, 0, create ? "create" : "run");
    return parse_make({}, walker, create);
}

/// What is printed goes nowhere; the exit code is what counts.
int code_of(const Words& words) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = run_command_line(words);
    ::testing::internal::GetCapturedStdout();
    ::testing::internal::GetCapturedStderr();
    return code;
}

std::string output_of(const Words& words) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(run_command_line(words), 0);
    return ::testing::internal::GetCapturedStdout();
}

std::string complaint_of(const Words& words) {
    ::testing::internal::CaptureStderr();
    EXPECT_NE(run_command_line(words), 0);
    return ::testing::internal::GetCapturedStderr();
}

TEST(Options, ReadBundleRun) {
    const Options o = bundle({"run", "--bundle", "b", "--id=x", "--console-fd", "4", "--report-fd=5", "--pid-file", "p",
                              "--preserve-fds", "2"});
    EXPECT_EQ(o.bundle, "b");
    EXPECT_EQ(o.id, "x");
    EXPECT_EQ(o.console_fd, 4);
    EXPECT_EQ(o.report_fd, 5);
    EXPECT_EQ(o.pid_file, "p");
    EXPECT_EQ(o.preserve_fds, 2U);
    EXPECT_EQ(o.fate, Fate::foreground);
}

TEST(Options, ReadTheOldFormWithAnIdOfItsOwn) {
    const Options o = bundle({"some/dir"});
    EXPECT_EQ(o.bundle, "some/dir");
    EXPECT_THAT(o.id, ::testing::StartsWith("locald-bootstrap-"));
}

TEST(Options, ReadCreateAndRunAsEnginesWriteThem) {
    const Options created = make(
        {"--bundle", "/b", "--pid-file", "/p", "--no-pivot", "--no-new-keyring", "--console-socket", "/s", "id"}, true);
    EXPECT_EQ(created.fate, Fate::created);
    EXPECT_EQ(created.bundle, "/b");
    EXPECT_EQ(created.console_socket, "/s");
    EXPECT_TRUE(created.no_pivot);
    EXPECT_TRUE(created.no_new_keyring);
    EXPECT_EQ(created.id, "id");
    EXPECT_EQ(make({"-d", "id"}).fate, Fate::detached);
    EXPECT_EQ(make({"--detach=false", "id"}).fate, Fate::foreground);
    EXPECT_TRUE(make({"--keep", "-f", "other.json", "id"}).keep);
    EXPECT_EQ(make({"id"}).bundle, ".");
    EXPECT_THROW(make({"--detach", "id"}, true), UsageError);
}

TEST(CommandLine, EndsWith125WhereOneCouldBeTheContainersOwn) {
    EXPECT_EQ(code_of({"bundle", "run"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--id", "x"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--bundle", "b", "--id", "x", "--bogus"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--bundle", "b", "--id", "x", "--report-fd", "-1"}), 125);
    EXPECT_EQ(code_of({"bundle", "a", "b"}), 125);
    EXPECT_EQ(code_of({"bundle"}), 125);
}

TEST(CommandLine, EndsWith2WhereItCannotBeMeant) {
    for (const Words& words : std::vector<Words>{{},
                                                 {"bogus"},
                                                 {"state"},
                                                 {"state", "a", "b"},
                                                 {"delete", "--all", "a"},
                                                 {"list", "-f", "xml"},
                                                 {"--root", "/", "list"},
                                                 {"--root=", "list"},
                                                 {"--log-format", "xml", "list"},
                                                 {"--cgroup-manager", "none", "list"},
                                                 {"list", "--quiet=1x"},
                                                 {"kill"},
                                                 {"kill", "a", "b", "c"},
                                                 {"start"},
                                                 {"create"},
                                                 {"init"}}) {
        EXPECT_EQ(code_of(words), 2) << ::testing::PrintToString(words);
    }
}

TEST(CommandLine, SaysHowManyArgumentsAVerbTakes) {
    EXPECT_THAT(complaint_of({"start"}), HasSubstr("\"start\" requires exactly 1 argument(s)"));
    EXPECT_THAT(complaint_of({"kill"}), HasSubstr("\"kill\" requires a minimum of 1 argument(s)"));
    EXPECT_THAT(complaint_of({"kill", "a", "9", "b"}), HasSubstr("\"kill\" requires a maximum of 2 argument(s)"));
}

TEST(CommandLine, TakesOptionsBeforeAndAfterTheId) {
    EXPECT_THAT(complaint_of({"--root", "/nowhere/at/all", "delete", "x", "--bogus"}),
                HasSubstr("unknown option --bogus"));
    EXPECT_THAT(complaint_of({"--root", "/nowhere/at/all", "delete", "--bogus", "x"}),
                HasSubstr("unknown option --bogus"));
}

TEST(CommandLine, EndsTheOptionsAtTheFirstArgumentWhereACommandFollows) {
    const Words words{"-a", "id", "sh", "-c", "--help"};
    Walker walker(words, 0, "exec");
    walker.stop_at_argument();
    std::string name;
    EXPECT_TRUE(walker.next_option(name));
    EXPECT_FALSE(walker.next_option(name));
    EXPECT_THAT(walker.arguments(), ElementsAre("id", "sh", "-c", "--help"));
}

TEST(CommandLine, HasHelpForEveryVerb) {
    for (const std::string verb :
         {"bundle", "create", "start", "run", "state", "list", "kill", "delete", "features", "init"}) {
        EXPECT_THAT(output_of({verb, "--help"}), HasSubstr("Usage: locald-shim")) << verb;
        EXPECT_THAT(output_of({"--help"}), HasSubstr("\n  " + verb + " ")) << verb;
    }
}

TEST(CommandLine, PrintsItsVersionAsEnginesReadIt) {
    const std::string text = output_of({"--version"});
    EXPECT_THAT(text, ::testing::StartsWith("locald-shim version "));
    EXPECT_THAT(text, HasSubstr("\ncommit: "));
    EXPECT_THAT(text, HasSubstr("\nspec: 1.3.0\n"));
    EXPECT_EQ(output_of({"-v"}), text);
}

}  // namespace
}  // namespace locald::shim
