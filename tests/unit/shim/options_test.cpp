#include "shim/options.hpp"

#include <gmock/gmock.h>

namespace {

using locald::shim::Options;
using locald::shim::parse_options;
using locald::shim::UsageError;
using locald::shim::Verb;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

int code_of(const std::vector<std::string>& words) {
    try {
        parse_options(words);
    } catch (const UsageError& e) {
        return e.exit_code();
    }
    return 0;
}

TEST(Options, ReadsBundleRun) {
    const Options o = parse_options({"--root", "/r", "bundle", "run", "--bundle", "b", "--id=x", "--console-fd", "4",
                                     "--report-fd=5", "--pid-file", "p", "--preserve-fds", "2"});
    EXPECT_EQ(o.verb, Verb::run);
    EXPECT_EQ(o.root, "/r");
    EXPECT_EQ(o.bundle, "b");
    EXPECT_EQ(o.id, "x");
    EXPECT_EQ(o.console_fd, 4);
    EXPECT_EQ(o.report_fd, 5);
    EXPECT_EQ(o.pid_file, "p");
    EXPECT_EQ(o.preserve_fds, 2U);
}

TEST(Options, ReadsTheOldFormWithAnIdOfItsOwn) {
    const Options o = parse_options({"bundle", "some/dir"});
    EXPECT_EQ(o.bundle, "some/dir");
    EXPECT_THAT(o.id, ::testing::StartsWith("locald-bootstrap-"));
}

TEST(Options, EndsWith125WhereOneCouldBeTheContainersOwn) {
    EXPECT_EQ(code_of({"bundle", "run"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--id", "x"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--bundle", "b", "--id", "x", "--bogus"}), 125);
    EXPECT_EQ(code_of({"bundle", "run", "--bundle", "b", "--id", "x", "--report-fd", "-1"}), 125);
    EXPECT_EQ(code_of({"bundle", "a", "b"}), 125);
    EXPECT_EQ(code_of({"bundle"}), 125);
}

TEST(Options, EndsWith2ElseWhere) {
    EXPECT_EQ(code_of({}), 2);
    EXPECT_EQ(code_of({"bogus"}), 2);
    EXPECT_EQ(code_of({"state"}), 2);
    EXPECT_EQ(code_of({"state", "a", "b"}), 2);
    EXPECT_EQ(code_of({"delete", "--all", "a"}), 2);
    EXPECT_EQ(code_of({"list", "-f", "xml"}), 2);
    EXPECT_EQ(code_of({"--root", "/", "list"}), 2);
    EXPECT_EQ(code_of({"list", "--quiet=1"}), 2);
    EXPECT_EQ(code_of({"init"}), 2);
}

TEST(Options, TakesEverythingAfterInitAsTheCommand) {
    EXPECT_THAT(parse_options({"init", "--", "sh", "-c", "--help"}).command, ElementsAre("sh", "-c", "--help"));
}

TEST(Options, ReadsKillAndDelete) {
    EXPECT_EQ(parse_options({"kill", "x"}).signal, "TERM");
    EXPECT_EQ(parse_options({"kill", "-a", "x", "9"}).signal, "9");
    EXPECT_TRUE(parse_options({"delete", "-f", "x"}).force);
    EXPECT_TRUE(parse_options({"delete", "x", "--force"}).force);
}

TEST(Options, HasHelpForEveryVerb) {
    for (const std::string verb : {"bundle", "state", "list", "kill", "delete", "features", "init"}) {
        const Options o = parse_options({verb, "--help"});
        EXPECT_EQ(o.verb, Verb::help) << verb;
        EXPECT_EQ(o.help_topic, verb);
        EXPECT_THAT(locald::shim::help_text(o.help_topic), HasSubstr("Usage: locald-shim"));
    }
}

}  // namespace
