#include "core/base/text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace locald {
namespace {

using Parts = std::vector<std::string_view>;

TEST(JsonQuote, EscapesWhatJsonAsksFor) {
    EXPECT_EQ(json_quote(""), "\"\"");
    EXPECT_EQ(json_quote("a\"b\\c"), R"("a\"b\\c")");
    EXPECT_EQ(json_quote("\n\t"), R"("\n\t")");
    EXPECT_EQ(json_quote(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
    EXPECT_EQ(json_quote("/"), "\"/\"");
}

TEST(JsonQuote, KeepsUtf8) {
    for (const char* text : {"ä", "€", "𝄞", "\xC2\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
        EXPECT_EQ(json_quote(text), '"' + std::string(text) + '"');
    }
}

TEST(JsonQuote, ReplacesEachByteThatIsNoUtf8) {
    const std::string bad = "\xEF\xBF\xBD";
    EXPECT_EQ(json_quote("a\xFF"
                         "b"),
              "\"a" + bad + "b\"");
    EXPECT_EQ(json_quote("\xC3"), '"' + bad + '"') << "cut short";
    EXPECT_EQ(json_quote("\xE2\x82"), '"' + bad + bad + '"') << "cut short";
    EXPECT_EQ(json_quote("\xC0\xAF"), '"' + bad + bad + '"') << "overlong";
    EXPECT_EQ(json_quote("\xE0\x80\xAF"), '"' + bad + bad + bad + '"') << "overlong";
    EXPECT_EQ(json_quote("\xED\xA0\x80"), '"' + bad + bad + bad + '"') << "a surrogate";
    EXPECT_EQ(json_quote("\xF4\x90\x80\x80"), '"' + bad + bad + bad + bad + '"') << "beyond U+10FFFF";
}

TEST(Split, KeepsEmptyParts) {
    EXPECT_EQ(split("", ','), Parts({""}));
    EXPECT_EQ(split("a", ','), Parts({"a"}));
    EXPECT_EQ(split(",a,,b,", ','), Parts({"", "a", "", "b", ""}));
}

TEST(Trim, TakesBlanksAtBothEndsOnly) {
    EXPECT_EQ(trim(" \t a b\r\n"), "a b");
    EXPECT_EQ(trim(" \n "), "");
    EXPECT_EQ(trim(""), "");
}

TEST(WithoutQuery, IsWhatStandsBeforeTheQuestionMark) {
    EXPECT_EQ(without_query("ssh://me@h:22?identity=/k&agent=yes"), "ssh://me@h:22");
    EXPECT_EQ(without_query("ssh://me@h"), "ssh://me@h");
}

TEST(ParseU64, TakesAllOfADecimalNumber) {
    EXPECT_EQ(parse_u64("0"), 0U);
    EXPECT_EQ(parse_u64("007"), 7U);
    EXPECT_EQ(parse_u64("18446744073709551615"), 18446744073709551615U);
}

TEST(ParseU64, GivesNothingForAnythingElse) {
    for (const char* text : {"", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "18446744073709551616"}) {
        EXPECT_EQ(parse_u64(text), std::nullopt) << text;
    }
}

TEST(ContainerId, IsALetterOrDigitAndThenAFewMore) {
    for (const auto& good : {std::string("a"), std::string("0"), std::string("web_1.2+x-y"), std::string(128, 'a')}) {
        EXPECT_TRUE(is_container_id(good)) << good;
    }
    for (const auto& bad : {std::string(), std::string(129, 'a'), std::string("."), std::string(".."),
                            std::string("-a"), std::string("_a"), std::string("a/b"), std::string("a b"),
                            std::string("a\n"), std::string("\xC3\xA4"), std::string("a\0b", 3), std::string("a:b")}) {
        EXPECT_FALSE(is_container_id(bad)) << bad;
    }
}

TEST(ContainerId, IsRefusedInTheWordsThatEnginesLookFor) {
    const auto said = [](std::string_view id) -> std::string {
        try {
            check_container_id(id);
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::invalid);
            return e.message();
        }
        return "no error";
    };
    EXPECT_EQ(said("web"), "no error");
    EXPECT_EQ(said(""), "container id cannot be empty");
    EXPECT_EQ(said("../x"), "invalid container ID format: \"../x\"");
    EXPECT_LT(said(std::string(100000, 'a')).size(), 300U);
}

TEST(CleanPath, GoesByTheTextAlone) {
    EXPECT_EQ(clean_path("a//b/./c/"), "/a/b/c");
    EXPECT_EQ(clean_path("/a/../../b"), "/b");
    EXPECT_EQ(clean_path(""), "/");
    EXPECT_EQ(clean_path("/"), "/");
    EXPECT_EQ(clean_path("/a/.b/..c"), "/a/.b/..c");
    EXPECT_EQ(clean_path("/a/b/.."), "/a");
    EXPECT_EQ(clean_path("/a/"), "/a");
}

TEST(WithoutControls, ReplacesAllThatATerminalObeys) {
    EXPECT_EQ(without_controls("a\tb\x1b[2J\x7f\n", '?'), "a?b?[2J??");
    EXPECT_EQ(without_controls("a\tb\n", '?', "\t"), "a\tb?");
    EXPECT_EQ(without_controls("\xC2\x9B"
                               "31m \xC2\xA0\xC3\xA4\xC2",
                               ' '),
              " 31m \xC2\xA0\xC3\xA4\xC2");
}

TEST(PlainJson, EndsAtWhatAStringMustEscapeOrDecode) {
    for (std::size_t before = 0; before < 20; ++before) {
        const std::string plain(before, 'x');
        for (const char* special : {"\"", "\\", "\n", "\x7F", "\xC3\xA4", "\x1F", "\x80"}) {
            EXPECT_EQ(plain_json_length(plain + special + "abcdefghijkl"), before) << special;
        }
        EXPECT_EQ(plain_json_length(plain + "!~ #["), before + 5);
    }
}

}  // namespace
}  // namespace locald
