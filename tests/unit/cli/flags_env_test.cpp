#include "cli/flags_env.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace locald::cli {
namespace {

using ::testing::HasSubstr;

std::optional<std::string> here(const std::string& name) {
    if (name == "SET") return "from here";
    return std::nullopt;
}

EnvList read(std::string_view text) {
    EnvList env;
    parse_env_file(text, "app.env", here, env);
    return env;
}

EnvList flag(std::string_view text) {
    EnvList env;
    parse_env_flag(text, here, env);
    return env;
}

TEST(EnvFlag, KeepsTheValueAsItIs) {
    EXPECT_EQ(flag("A=1"), (EnvList{{"A", "1"}}));
    EXPECT_EQ(flag("A="), (EnvList{{"A", ""}}));
    EXPECT_EQ(flag("A=b=c"), (EnvList{{"A", "b=c"}}));
    EXPECT_EQ(flag("A= \"x\" "), (EnvList{{"A", " \"x\" "}}));
}

TEST(EnvFlag, TakesABareNameFromHere) {
    EXPECT_EQ(flag("SET"), (EnvList{{"SET", "from here"}}));
    EXPECT_EQ(flag("UNSET"), EnvList());
}

TEST(EnvFlag, NeedsAName) {
    EXPECT_THROW(flag("=x"), Error);
    EXPECT_THROW(flag(""), Error);
}

TEST(EnvFile, FollowsDockersRules) {
    EXPECT_EQ(read("A=1\nB=2"), (EnvList{{"A", "1"}, {"B", "2"}}));
    EXPECT_EQ(read("# comment\n\n   \n  # too\nA=1 # not one\n"), (EnvList{{"A", "1 # not one"}}));
    EXPECT_EQ(read("  A=1"), (EnvList{{"A", "1"}}));
    EXPECT_EQ(read("A=\"quoted\" $HOME \n"), (EnvList{{"A", "\"quoted\" $HOME "}}));
    EXPECT_EQ(read("SET\nUNSET\nE=\n"), (EnvList{{"SET", "from here"}, {"E", ""}}));
    EXPECT_EQ(read("\xEF\xBB\xBF"
                   "A=1\r\nB=2\r\n"),
              (EnvList{{"A", "1"}, {"B", "2"}}));
}

TEST(EnvFile, NamesTheLineThatIsWrong) {
    for (const auto& [text, line] : {std::pair{"A=1\n=x", "line 2"}, {"A B=1", "line 1"}, {"\nA =1", "line 2"}}) {
        try {
            read(text);
            ADD_FAILURE() << text;
        } catch (const Error& e) {
            EXPECT_THAT(e.what(), HasSubstr("app.env, " + std::string(line)));
        }
    }
    EXPECT_THROW(read(std::string_view("A=\0", 3)), Error);
}

}  // namespace
}  // namespace locald::cli
