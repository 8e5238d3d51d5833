#include "core/registry/www_authenticate.hpp"

#include <gtest/gtest.h>

#include <string>

namespace locald::registry {
namespace {

TEST(WwwAuthenticate, ReadsTheBearerChallengeOfDockerHub) {
    const auto all = parse_www_authenticate(
        R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull")");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].scheme, "bearer");
    EXPECT_EQ(all[0].parameter("realm"), "https://auth.docker.io/token");
    EXPECT_EQ(all[0].parameter("service"), "registry.docker.io");
    EXPECT_EQ(all[0].parameter("scope"), "repository:library/alpine:pull");
    EXPECT_EQ(all[0].parameter("nosuch"), "");
}

TEST(WwwAuthenticate, ReadsSeveralChallengesInOneValue) {
    const auto all =
        parse_www_authenticate(R"(, Basic realm="a, b",  NEGOTIATE ,BeArEr Realm=x , Service = "y",Foo abc==)");
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].scheme, "basic");
    EXPECT_EQ(all[0].parameter("realm"), "a, b");
    EXPECT_EQ(all[1].scheme, "negotiate");
    EXPECT_TRUE(all[1].parameters.empty());
    EXPECT_EQ(all[2].scheme, "bearer");
    EXPECT_EQ(all[2].parameter("realm"), "x");
    EXPECT_EQ(all[2].parameter("service"), "y");
    EXPECT_EQ(all[3].scheme, "foo");
    EXPECT_EQ(all[3].token, "abc==");
}

TEST(WwwAuthenticate, UndoesBackslashesInQuotedStrings) {
    const auto all = parse_www_authenticate(R"(Basic realm="say \"hi\" \\ Bearer realm=evil")");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].parameter("realm"), R"(say "hi" \ Bearer realm=evil)");
}

TEST(WwwAuthenticate, KeepsTheFirstOfTwoEqualNames) {
    const auto all = parse_www_authenticate(R"(Bearer realm="https://good", REALM="https://evil")");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].parameter("realm"), "https://good");
}

TEST(WwwAuthenticate, GivesNothingForWhatIsMalformed) {
    for (const char* text :
         {"", "   ", ",,,", "\"", "=", "Bearer realm=\"no end", "Bearer realm=\"a\\", "Bearer realm=\"a\"garbage",
          "Bearer realm=\"a\" b=\"c\"", "Bearer\x01realm=a", "Bearer realm=\"line\nend\"", "Bearer (comment)"}) {
        EXPECT_TRUE(parse_www_authenticate(text).empty()) << text;
    }
}

TEST(WwwAuthenticate, KeepsWhatStandsBeforeTheMalformedPlace) {
    const auto all = parse_www_authenticate(R"(Basic realm="a", Bearer realm="no end)");
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].scheme, "basic");
}

TEST(WwwAuthenticate, RefusesAValueAboveEightKibibytes) {
    const std::string short_one = "Basic realm=\"" + std::string(8000, 'x') + "\"";
    const std::string long_one = "Basic realm=\"" + std::string(9000, 'x') + "\"";
    EXPECT_EQ(parse_www_authenticate(short_one).size(), 1U);
    EXPECT_TRUE(parse_www_authenticate(long_one).empty());
}

}  // namespace
}  // namespace locald::registry
