#include "shim/cgroup/systemd/gvariant.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

namespace {

constexpr int deepest = 16;

struct Keyword {
    std::string_view word;
    const char* type;
};
constexpr std::array<Keyword, 13> keywords{{{"boolean", "b"},
                                            {"byte", "y"},
                                            {"int16", "n"},
                                            {"uint16", "q"},
                                            {"int32", "i"},
                                            {"uint32", "u"},
                                            {"handle", "h"},
                                            {"int64", "x"},
                                            {"uint64", "t"},
                                            {"double", "d"},
                                            {"string", "s"},
                                            {"objectpath", "o"},
                                            {"signature", "g"}}};

struct Range {
    std::int64_t least;
    std::uint64_t most;
};

std::optional<Range> range_of(char type) {
    switch (type) {
        case 'y':
            return Range{0, 0xFF};
        case 'n':
            return Range{-0x8000, 0x7FFF};
        case 'q':
            return Range{0, 0xFFFF};
        case 'i':
        case 'h':
            return Range{-0x80000000LL, 0x7FFFFFFF};
        case 'u':
            return Range{0, 0xFFFFFFFF};
        case 'x':
            return Range{std::numeric_limits<std::int64_t>::min(), 0x7FFFFFFFFFFFFFFF};
        case 't':
            return Range{0, std::numeric_limits<std::uint64_t>::max()};
        default:
            return std::nullopt;
    }
}

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    DbusValue whole() {
        DbusValue value = parse("", 0);
        skip_blanks();
        if (at_ != text_.size()) fail("something follows the value");
        return value;
    }

private:
    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorKind::invalid,
                    json_quote(text_) + " is no value: " + what + " (at character " + std::to_string(at_ + 1) + ")");
    }
    void skip_blanks() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
    }
    char peek() {
        skip_blanks();
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool take(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!take(c)) fail(std::string("expected ") + c);
    }

    /// @param type  what it must be; empty: whatever it is
    DbusValue parse(std::string type, int depth) {
        if (depth > deepest) fail("nested too deeply");
        const char c = peek();
        if (c == '@') {
            ++at_;
            const std::size_t length = first_type_length(text_.substr(at_));
            if (length == 0) fail("expected a type");
            type = text_.substr(at_, length);
            at_ += length;
            return parse(type, depth + 1);
        }
        if (c == '[') return parse_array(type, depth);
        if (c == '(') return parse_tuple(type, depth);
        if (c == '{') return parse_dictionary(type, depth);
        if (c == '<') return parse_variant(type, depth);
        if (c == '\'' || c == '"') return typed_text(type, parse_text());
        if (c == 'b' && at_ + 1 < text_.size() && (text_[at_ + 1] == '\'' || text_[at_ + 1] == '"')) {
            ++at_;
            return parse_bytes(type);
        }
        return parse_word(type, depth);
    }

    void check_type(const std::string& wanted, const std::string& found) const {
        if (!wanted.empty() && wanted != found) fail("expected type " + wanted + ", got " + found);
    }

    DbusValue typed_text(const std::string& type, std::string text) {
        const std::string own = type == "o" || type == "g" ? type : "s";
        check_type(type, own);
        return {own, 0, std::move(text), {}};
    }

    std::string parse_text() {
        const char quote = text_[at_++];
        std::string result;
        while (at_ < text_.size() && text_[at_] != quote) {
            char c = text_[at_++];
            if (c == '\\' && at_ < text_.size()) {
                c = text_[at_++];
                constexpr std::string_view escapes = "abfnrtv", values = "\a\b\f\n\r\t\v";
                if (const auto found = escapes.find(c); found != std::string_view::npos) c = values[found];
            }
            result += c;
        }
        expect_quote(quote);
        return result;
    }
    void expect_quote(char quote) {
        if (at_ == text_.size()) fail("the string does not end");
        static_cast<void>(quote);
        ++at_;
    }

    DbusValue parse_bytes(const std::string& type) {
        check_type(type, "ay");
        DbusValue value = DbusValue::array("y", {});
        for (const char c : parse_text()) value.items.push_back({"y", static_cast<std::uint8_t>(c), {}, {}});
        value.items.push_back({"y", 0, {}, {}});  // a bytestring ends with NUL
        return value;
    }

    DbusValue parse_array(const std::string& type, int depth) {
        expect('[');
        if (!type.empty() && type.front() != 'a') fail("expected type " + type + ", got an array");
        std::string element = type.empty() ? "" : type.substr(1);
        std::vector<DbusValue> items;
        while (peek() != ']') {
            if (!items.empty()) expect(',');
            items.push_back(parse(element, depth + 1));
            element = items.front().signature;
        }
        expect(']');
        if (element.empty()) fail("an empty array needs its type in front, such as @as");
        return DbusValue::array(element, std::move(items));
    }

    DbusValue parse_tuple(const std::string& type, int depth) {
        expect('(');
        std::string_view members = type;
        if (!type.empty()) {
            if (type.front() != '(') fail("expected type " + type + ", got a tuple");
            members = members.substr(1, members.size() - 2);
        }
        std::vector<DbusValue> items;
        while (peek() != ')') {
            if (!items.empty() && !take(',')) expect(',');
            if (peek() == ')') break;  // (x,)
            const std::size_t length = type.empty() ? 0 : first_type_length(members);
            if (!type.empty() && length == 0) fail("more members than type " + type + " has");
            items.push_back(parse(std::string(members.substr(0, length)), depth + 1));
            members.remove_prefix(length);
        }
        expect(')');
        if (items.empty() || !members.empty()) fail("fewer members than a tuple needs");
        return DbusValue::tuple(std::move(items));
    }

    DbusValue parse_dictionary(const std::string& type, int depth) {
        expect('{');
        if (!type.empty() && !type.starts_with("a{")) fail("expected type " + type + ", got a dictionary");
        std::string key = type.empty() ? "" : type.substr(2, 1);
        std::string value = type.empty() ? "" : type.substr(3, type.size() - 4);
        std::vector<DbusValue> items;
        while (peek() != '}') {
            if (!items.empty()) expect(',');
            DbusValue first = parse(key, depth + 1);
            expect(':');
            DbusValue second = parse(value, depth + 1);
            key = first.signature;
            value = second.signature;
            items.push_back({"{" + key + value + "}", 0, {}, {std::move(first), std::move(second)}});
        }
        expect('}');
        if (key.size() != 1 || value.empty()) fail("an empty dictionary needs its type in front, such as @a{sv}");
        return DbusValue::array("{" + key + value + "}", std::move(items));
    }

    DbusValue parse_variant(const std::string& type, int depth) {
        check_type(type, "v");
        expect('<');
        DbusValue value = DbusValue::variant(parse("", depth + 1));
        expect('>');
        return value;
    }

    /// true, false, a number, or a type's name before another value.
    DbusValue parse_word(const std::string& type, int depth) {
        const std::size_t start = at_;
        while (at_ < text_.size() &&
               (is_word(text_[at_]) || text_[at_] == '+' || text_[at_] == '-' || text_[at_] == '.'))
            ++at_;
        const std::string word(text_.substr(start, at_ - start));
        if (word.empty()) fail("expected a value");
        if (word == "true" || word == "false") {
            check_type(type, "b");
            return DbusValue::boolean(word == "true");
        }
        for (const auto& keyword : keywords) {
            if (word != keyword.word) continue;
            check_type(type, keyword.type);
            return parse(keyword.type, depth + 1);
        }
        return parse_number(word, type);
    }

    DbusValue parse_number(const std::string& word, const std::string& type) {
        const bool hexadecimal = word.find("0x") != std::string::npos || word.find("0X") != std::string::npos;
        const bool fraction = !hexadecimal && word.find_first_of(".eE") != std::string::npos;
        const std::string own = !type.empty() ? type : fraction ? "d" : "i";
        if (own == "d") {
            double number = 0;
            const auto result = std::from_chars(word.data(), word.data() + word.size(), number);
            if (result.ec != std::errc() || result.ptr != word.data() + word.size()) fail("expected a number");
            return {"d", std::bit_cast<std::uint64_t>(number), {}, {}};
        }
        const auto range = own.size() == 1 ? range_of(own.front()) : std::nullopt;
        if (!range) fail("expected type " + own + ", got " + word);
        const bool negative = word.front() == '-';
        std::string_view digits = std::string_view(word).substr(negative || word.front() == '+' ? 1 : 0);
        int base = 10;
        if (digits.starts_with("0x") || digits.starts_with("0X")) {
            digits.remove_prefix(2);
            base = 16;
        } else if (digits.size() > 1 && digits.starts_with('0')) {
            base = 8;
        }
        std::uint64_t number = 0;
        const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
        if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) fail("expected a number");
        const std::uint64_t least = std::uint64_t{0} - static_cast<std::uint64_t>(range->least);
        if (negative ? number > least : number > range->most) fail(word + " does not fit into type " + own);
        return {own, negative ? std::uint64_t{0} - number : number, {}, {}};
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

DbusValue parse_gvariant(std::string_view text) { return Parser(text).whole(); }

}  // namespace locald::shim
