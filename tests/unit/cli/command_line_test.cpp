#include "cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/base/error.hpp"

namespace locald::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What the last parsed test command was given; its flags are of every kind.
struct Seen {
    bool on = false, other = false;
    std::string text;
    std::optional<std::string> perhaps;
    std::vector<std::string> list;
};
Seen seen;

class Probe final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        seen = Seen();
        flags.flag("-i,--on", seen.on, "");
        flags.flag("-t,--other", seen.other, "");
        flags.text("-w,--text", "TEXT", seen.text, "A text");
        flags.text("--perhaps", "TEXT", seen.perhaps, "");
        flags.list("-e,--env", "ENV", seen.list, "");
        flags.refuse("-p,--publish", "no ports");
    }
    int run(const Globals&, std::vector<std::string>) override { return 0; }
};

constexpr std::array commands{Command{"image ls", "Lists", "", 0, 0, false, "", "", make_body<Probe>},
                              Command{"box run", "Runs", "IMAGE [COMMAND...]", 1, 100, true, "", "", make_body<Probe>},
                              Command{"box ls", "Lists", "", 0, 0, false, "", "", make_body<Probe>},
                              Command{"copy", "Copies", "FROM TO", 2, 2, false, "", "", make_body<Probe>}};

CommandLine parse(const std::vector<std::string>& args) { return parse_command_line(commands, args); }

std::string error_of(const std::vector<std::string>& args) {
    try {
        parse(args);
    } catch (const Error& e) {
        EXPECT_EQ(exit_code_of(e), 125);
        return e.what();
    }
    return "no error";
}

TEST(CommandLine, FindsTheCommand) {
    const auto line = parse({"box", "run", "image"});
    EXPECT_EQ(line.command->path, "box run");
    EXPECT_THAT(line.operands, ElementsAre("image"));
}

TEST(CommandLine, EndsFlagsAtTheImage) {
    const auto line = parse({"box", "run", "-i", "image", "-t", "--", "--help", "box", "", "[a]"});
    EXPECT_TRUE(seen.on);
    EXPECT_FALSE(seen.other);
    EXPECT_THAT(line.operands, ElementsAre("image", "-t", "--", "--help", "box", "", "[a]"));
}

TEST(CommandLine, DropsOneDoubleDashBeforeTheImage) {
    EXPECT_THAT(parse({"box", "run", "-i", "--", "image", "--", "x"}).operands, ElementsAre("image", "--", "x"));
}

TEST(CommandLine, TakesFlagsBetweenOperandsElsewhere) {
    const auto line = parse({"copy", "a", "-i", "b"});
    EXPECT_TRUE(seen.on);
    EXPECT_THAT(line.operands, ElementsAre("a", "b"));
}

TEST(CommandLine, KnowsEveryWayToWriteAShortFlag) {
    parse({"box", "run", "-itw/src", "image"});
    EXPECT_TRUE(seen.on && seen.other);
    EXPECT_EQ(seen.text, "/src");
    parse({"box", "run", "-itw", "/src", "image"});
    EXPECT_EQ(seen.text, "/src");
    parse({"box", "run", "-w=/src", "image"});
    EXPECT_EQ(seen.text, "/src");
}

TEST(CommandLine, HandsValuesOverAsTheyAre) {
    parse({"box", "run", "--text=", "--perhaps", "", "-e", "[a,b]", "-eX=1", "--env=", "--env", "-i", "-e", "{}", "-e",
           "box", "image"});
    EXPECT_EQ(seen.text, "");
    EXPECT_EQ(seen.perhaps, "");
    EXPECT_FALSE(seen.on);
    EXPECT_THAT(seen.list, ElementsAre("[a,b]", "X=1", "", "-i", "{}", "box"));
}

TEST(CommandLine, LetsTheLastValueWin) {
    parse({"box", "run", "--text", "a", "--text", "b", "-i", "--on=false", "image"});
    EXPECT_EQ(seen.text, "b");
    EXPECT_FALSE(seen.on);
    EXPECT_EQ(seen.perhaps, std::nullopt);
}

TEST(CommandLine, TakesCommonFlagsBeforeAndBehindTheCommand) {
    const auto line = parse({"--backend", "x", "box", "run", "--debug", "--host=ssh://a", "image", "--quiet"});
    EXPECT_EQ(line.globals.backend, "x");
    EXPECT_EQ(line.globals.host, "ssh://a");
    EXPECT_TRUE(line.globals.debug);
    EXPECT_FALSE(line.globals.quiet);
}

TEST(CommandLine, HelpsAtEveryLevel) {
    EXPECT_THAT(parse({"--help"}).text, HasSubstr("box run"));
    EXPECT_THAT(parse({"-h"}).text, HasSubstr("copy"));
    const auto group = parse({"box", "--help"}).text;
    EXPECT_THAT(group, HasSubstr("box ls"));
    EXPECT_THAT(group, ::testing::Not(HasSubstr("copy")));
    const auto help = parse({"box", "run", "--help"}).text;
    EXPECT_THAT(help, HasSubstr("Usage: locald box run [OPTIONS] IMAGE [COMMAND...]"));
    EXPECT_THAT(help, HasSubstr("  -w, --text TEXT             A text\n"));
    EXPECT_THAT(help, ::testing::Not(HasSubstr("--publish")));
    EXPECT_THAT(parse({"--version"}).text, HasSubstr("locald "));
}

TEST(CommandLine, SaysWhatIsWrongAndWhereToRead) {
    EXPECT_THAT(error_of({}), HasSubstr("see `locald --help`"));
    EXPECT_THAT(error_of({"nothing"}), HasSubstr("unknown command \"nothing\""));
    EXPECT_THAT(error_of({"box"}), HasSubstr("see `locald box --help`"));
    EXPECT_THAT(error_of({"box", "nothing"}), HasSubstr("unknown command \"box nothing\""));
    EXPECT_THAT(error_of({"run", "image"}), HasSubstr("unknown command \"run\"; there is `locald box run`"));
    EXPECT_THAT(error_of({"ls"}), HasSubstr("there is `locald image ls`, `locald box ls`"));
    EXPECT_THAT(error_of({"images"}), HasSubstr("there is `locald image ls`"));
    EXPECT_THAT(error_of({"ps"}), HasSubstr("see `locald --help`"));  // no command of that meaning here
    EXPECT_THAT(error_of({"box", "opy"}), HasSubstr("see `locald"));
    EXPECT_THAT(error_of({"box", "run"}), HasSubstr("missing operand"));
    EXPECT_THAT(error_of({"box", "ls", "x"}), HasSubstr("too many operands: \"x\""));
    EXPECT_THAT(error_of({"box", "run", "--nothing", "x"}), HasSubstr("unknown flag --nothing"));
    EXPECT_THAT(error_of({"box", "run", "--nothing", "x"}), HasSubstr("see `locald box run --help`"));
    EXPECT_THAT(error_of({"box", "run", "-ix", "x"}), HasSubstr("unknown flag -x"));
    EXPECT_THAT(error_of({"box", "run", "--text"}), HasSubstr("--text needs a value"));
    EXPECT_THAT(error_of({"box", "run", "-w"}), HasSubstr("-w needs a value"));
    EXPECT_THAT(error_of({"box", "run", "--on=perhaps", "x"}), HasSubstr("perhaps"));
    EXPECT_THAT(error_of({"box", "run", "-p", "80:80", "x"}), HasSubstr("no ports"));
    EXPECT_THAT(error_of({"box", "run", "--publish=80", "x"}), HasSubstr("no ports"));
}

TEST(Wrap, KeepsLinesWithinTheirWidth) {
    EXPECT_EQ(wrap("one two three", 2, 9), "  one two\n  three\n");
    EXPECT_EQ(wrap("indivisible", 0, 5), "indivisible\n");
    EXPECT_EQ(wrap("", 2, 9), "  \n");
}

}  // namespace
}  // namespace locald::cli
