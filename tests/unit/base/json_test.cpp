#include "core/base/json.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <random>

#include "core/base/error.hpp"

namespace locald::json {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
    try {
        const Document document(text);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

std::string compact(std::string_view text) {
    const Document document(text);
    std::string out;
    append_compact(out, document.root());
    return out;
}

TEST(Json, GivesValuesThatPointIntoTheText) {
    const std::string text = R"( {"a": [1, -2, true, null], "b": {"c": "plain"}} )";
    const Document document(text);
    const auto members = document.root().members();
    ASSERT_EQ(members.size(), 2U);
    const auto items = members[0].value.items();
    ASSERT_EQ(items.size(), 4U);
    EXPECT_EQ(items[0].as_unsigned(), 1U);
    EXPECT_EQ(items[1].as_signed(), -2);
    EXPECT_EQ(items[1].as_unsigned(), std::nullopt);
    EXPECT_TRUE(items[2].boolean());
    EXPECT_TRUE(items[3].is(Kind::null));
    EXPECT_EQ(members[0].value.raw(), "[1, -2, true, null]");
    const auto plain = members[1].value.members()[0].value.string();
    EXPECT_EQ(plain, "plain");
    EXPECT_TRUE(plain.data() >= text.data() && plain.data() < text.data() + text.size()) << "was copied";
}

TEST(Json, TakesEscapesApart) {
    const Document document(R"(["\"\\\/\b\f\n\r\t", "\u00e4\u20ac\ud83d\ude00x", "a\u0000b", "\u007f"])");
    const auto items = document.root().items();
    EXPECT_EQ(items[0].string(), "\"\\/\b\f\n\r\t");
    EXPECT_EQ(items[1].string(), "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80x");
    EXPECT_EQ(items[2].string(), std::string_view("a\0b", 3));
    EXPECT_EQ(items[3].string(), "\x7F");
}

TEST(Json, KnowsNumbersUpToTheLastBit) {
    const Document document(
        "[18446744073709551615, 18446744073709551616, -9223372036854775808, -9223372036854775809, "
        "1.0, 1e3, -0, 0]");
    const auto items = document.root().items();
    EXPECT_EQ(items[0].as_unsigned(), UINT64_MAX);
    EXPECT_EQ(items[0].as_signed(), std::nullopt);
    EXPECT_EQ(items[1].as_unsigned(), std::nullopt);
    EXPECT_EQ(items[2].as_signed(), INT64_MIN);
    EXPECT_EQ(items[3].as_signed(), std::nullopt);
    EXPECT_EQ(items[4].as_unsigned(), std::nullopt);
    EXPECT_EQ(items[5].as_signed(), std::nullopt);
    EXPECT_EQ(items[6].as_unsigned(), 0U);
    EXPECT_EQ(items[7].as_signed(), 0);
}

TEST(Json, SaysWhereAndWhatIsWrong) {
    EXPECT_EQ(error_of(" \n"), "not JSON: the text is empty");
    EXPECT_THAT(error_of("{\n  \"a\": tru\n}"), HasSubstr("at byte 12 (line 2, column 11): expected `true`"));
    EXPECT_THAT(error_of("{"), HasSubstr("at byte 1 (line 1, column 2): the text ends here: expected a member's name"));
    EXPECT_THAT(error_of("{} x"), HasSubstr("at byte 3 (line 1, column 4): expected the end of the text"));
    EXPECT_THAT(error_of("{\"a\":1,}"), HasSubstr("at byte 7 "));
    EXPECT_THAT(error_of("[1,]"), HasSubstr("expected a value"));
    EXPECT_THAT(error_of("[1 2]"), HasSubstr("expected `,` or `]`"));
    EXPECT_THAT(error_of("{\"a\" 1}"), HasSubstr("expected `:`"));
    EXPECT_THAT(error_of("\"abc"), HasSubstr("the text ends here: expected the end of the string"));
    EXPECT_THAT(error_of("\"a\nb\""), HasSubstr("control character"));
    EXPECT_THAT(error_of("\"\xFF\""), HasSubstr("at byte 1 (line 1, column 2): the string is not UTF-8"));
    EXPECT_THAT(error_of("\"\xC3\""), HasSubstr("not UTF-8"));
    EXPECT_THAT(error_of("\"\xED\xA0\x80\""), HasSubstr("not UTF-8"));
    EXPECT_THAT(error_of(R"("\x")"), HasSubstr("expected an escape"));
    EXPECT_THAT(error_of(R"("\u12g4")"), HasSubstr("four hexadecimal digits"));
    EXPECT_THAT(error_of(R"("\udc00")"), HasSubstr("stands alone"));
    EXPECT_THAT(error_of(R"("\ud800x")"), HasSubstr("second half"));
    EXPECT_THAT(error_of(R"("\ud800\u0041")"), HasSubstr("second half"));
    for (const char* text : {"-", "+1", ".5", "1.", "1e", "1e+", "01", "nan", "Infinity", "'a'", "// x\n{}", "tru"}) {
        EXPECT_THAT(error_of(text), HasSubstr("not JSON")) << text;
    }
}

TEST(Json, RefusesWhatNestsTooDeep) {
    EXPECT_EQ(compact(std::string(max_depth, '[') + std::string(max_depth, ']')).size(), 2U * max_depth);
    EXPECT_THAT(error_of(std::string(max_depth + 1, '[')), HasSubstr("byte 128 (line 1, column 129): nested deeper"));
    EXPECT_THAT(error_of(std::string(1 << 20, '[')), HasSubstr("nested deeper"));
}

/// A text that is JSON, or was before some bytes of it were changed.
std::string random_text(std::mt19937& random, int depth) {
    const auto below = [&](std::size_t most) { return static_cast<unsigned>(random() % most); };
    const auto blanks = [&] { return std::string(below(8) == 0 ? below(3) : 0, " \n\t\r"[below(4)]); };
    const auto string = [&] {
        static const std::array<std::string, 10> parts{
            "a",    "plain text of some length", "\\n",    "\\u00e4", "\\ud83d\\ude00", "\xC3\xA4", "\x7F",
            "\\\"", "\xF0\x9F\x98\x80",          "\\u0000"};
        std::string text = "\"";
        for (unsigned left = below(4); left > 0; --left) text += parts[below(parts.size())];
        return text + '"';
    };
    switch (depth > 4 ? 2 + below(5) : below(7)) {
        case 0: {
            std::string text = "{" + blanks();
            for (unsigned i = 0, count = below(4); i < count; ++i) {
                text += (i > 0 ? "," : "") + blanks() + string() + blanks() + ":" + random_text(random, depth + 1);
            }
            return text + blanks() + "}";
        }
        case 1: {
            std::string text = "[" + blanks();
            for (unsigned i = 0, count = below(4); i < count; ++i) {
                text += (i > 0 ? "," : "") + random_text(random, depth + 1);
            }
            return text + blanks() + "]";
        }
        case 2:
            return below(2) == 0 ? "true" : "null";
        case 3:
            return "false";
        case 4: {
            static const std::array<std::string, 9> numbers{"0",   "-0",  "1",        "-12", "18446744073709551615",
                                                            "1.5", "2e3", "-0.25E-2", "7"};
            return numbers[below(numbers.size())];
        }
        default:
            return blanks() + string() + blanks();
    }
}

/// Equal in everything that nlohmann keeps: it sorts members and takes the last of several.
bool agrees(const Value& ours, const nlohmann::json& theirs) {
    switch (ours.kind()) {
        case Kind::null:
            return theirs.is_null();
        case Kind::boolean:
            return theirs.is_boolean() && theirs.get<bool>() == ours.boolean();
        case Kind::number:
            if (theirs.is_number_unsigned()) return ours.as_unsigned() == theirs.get<std::uint64_t>();
            if (theirs.is_number_integer()) return ours.as_signed() == theirs.get<std::int64_t>();
            return theirs.is_number_float() && !ours.as_signed();
        case Kind::string:
            return theirs.is_string() && theirs.get_ref<const std::string&>() == ours.string();
        case Kind::array: {
            if (!theirs.is_array() || theirs.size() != ours.items().size()) return false;
            for (std::size_t i = 0; i < theirs.size(); ++i) {
                if (!agrees(ours.items()[i], theirs[i])) return false;
            }
            return true;
        }
        case Kind::object: {
            if (!theirs.is_object()) return false;
            std::map<std::string_view, const Value*> last;
            for (const auto& [key, value] : ours.members()) last[key] = &value;
            if (last.size() != theirs.size()) return false;
            for (const auto& [key, value] : last) {
                const auto found = theirs.find(std::string(key));
                if (found == theirs.end() || !agrees(*value, *found)) return false;
            }
            return true;
        }
    }
    return false;
}

TEST(Json, ReadsWhatNlohmannReadsAndRefusesWhatItRefuses) {
    std::mt19937 random(11);
    int right = 0, wrong = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text = random_text(random, 0);
        for (auto changes = random() % 3; changes > 0 && !text.empty(); --changes) {
            const std::size_t at = random() % text.size();
            if (random() % 2 == 0) {
                text.erase(at, 1);
            } else {
                text[at] = static_cast<char>("{}[]\",:\\u0.-tn\x01\xC3\x80\xED"[random() % 18]);
            }
        }
        const auto theirs = nlohmann::json::parse(text, nullptr, false);
        std::optional<Document> ours;
        try {
            ours.emplace(text);
        } catch (const Error&) {
        }
        ASSERT_EQ(ours.has_value(), !theirs.is_discarded()) << text;
        if (!ours) {
            ++wrong;
            continue;
        }
        ++right;
        ASSERT_TRUE(agrees(ours->root(), theirs)) << text;
        std::string again;
        append_compact(again, ours->root());
        ASSERT_EQ(nlohmann::json::parse(again, nullptr, false), theirs) << text;
    }
    EXPECT_GT(right, 5000);
    EXPECT_GT(wrong, 5000);
}

}  // namespace
}  // namespace locald::json
