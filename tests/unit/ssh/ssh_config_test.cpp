#include "backends/ssh/ssh_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

using namespace locald;
using namespace locald::backends;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

SshHostConfig config_of(const std::string& host, std::string_view text) {
    SshHostConfig config;
    read_ssh_config(text, "config", host, config);
    return config;
}

std::string error_of(std::string_view text) {
    try {
        config_of("h", text);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

}  // namespace

TEST(SshConfig, TheFirstValueCountsAndKeysAddUp) {
    const auto config = config_of("web", R"(
# a comment
Host web other
  HostName 10.0.0.1
  Port=2200
  IdentityFile ~/.ssh/a
Host *
  HostName never
  User "some one"
  Port 22
  IdentityFile = "b c"
)");
    EXPECT_EQ(config.host_name, "10.0.0.1");
    EXPECT_EQ(config.user, "some one");
    EXPECT_EQ(config.port, 2200U);
    EXPECT_THAT(config.identity_files, ElementsAre("~/.ssh/a", "b c"));
}

TEST(SshConfig, PatternsAndTheirNegation) {
    const std::string_view text = "Host *.lan !bad.lan\nUser lan\nMatch host web\nUser matched\nMatch all\nPort 7\n";
    EXPECT_EQ(config_of("good.lan", text).user, "lan");
    EXPECT_EQ(config_of("bad.lan", text).user, "");
    EXPECT_EQ(config_of("web", text).user, "");
    EXPECT_EQ(config_of("web", text).port, 7U);
    EXPECT_TRUE(matches_pattern("abc", "a?c"));
    EXPECT_TRUE(matches_pattern("", "*"));
    EXPECT_FALSE(matches_pattern("ab", "a"));
    EXPECT_TRUE(matches_pattern("aXbXc", "a*b*c"));
    EXPECT_FALSE(matches_pattern(std::string(4000, 'a'), "*a*a*a*a*a*a*b"));
}

TEST(SshConfig, HasTheAgentOfTheHost) {
    const std::string_view text = "Host a\n IdentityAgent none\nHost *\n identityagent ~/.ssh/agent.sock\n";
    EXPECT_EQ(config_of("a", text).identity_agent, "none");
    EXPECT_EQ(config_of("b", text).identity_agent, "~/.ssh/agent.sock");
    EXPECT_EQ(config_of("b", "").identity_agent, "");
}

TEST(SshConfig, LinesBeforeAnyHostAreForAll) { EXPECT_EQ(config_of("x", "user me\nHost y\nUser you\n").user, "me"); }

TEST(SshConfig, ErrorsNameTheLine) {
    EXPECT_THAT(error_of("\nPort abc\n"), HasSubstr("config:2"));
    EXPECT_THAT(error_of("User\n"), HasSubstr("config:1: \"User\" has no value"));
    EXPECT_THAT(error_of("User \"a\n"), HasSubstr("quote"));
    EXPECT_EQ(error_of("Host other\nPort abc\n"), "no error");
}
