#include "core/base/json.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::json {

namespace {

std::string position_of(std::string_view text, std::size_t byte) {
    const auto before = text.substr(0, std::min(byte, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_start = before.rfind('\n');
    const auto column = line_start == std::string_view::npos ? before.size() + 1 : before.size() - line_start;
    return "byte " + std::to_string(byte) + " (line " + std::to_string(line) + ", column " + std::to_string(column) +
           ")";
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int hex_digit(char c) noexcept {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

char* put_utf8(char* out, std::uint32_t code) noexcept {
    const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
    return out;
}

constexpr bool is_high_surrogate(std::uint32_t unit) noexcept { return unit >= 0xD800 && unit <= 0xDBFF; }
constexpr bool is_low_surrogate(std::uint32_t unit) noexcept { return unit >= 0xDC00 && unit <= 0xDFFF; }

}  // namespace

class Parser {
public:
    Parser(std::string_view text, Document& document)
        : text_(text), at_(text.data()), end_(text.data() + text.size()), document_(document) {}

    Value whole() {
        constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
        if (text_.starts_with(byte_order_mark)) at_ += byte_order_mark.size();
        skip_blanks();
        if (at_ == end_) throw Error(ErrorKind::invalid, "not JSON: the text is empty");
        Value value = next_value(0);
        skip_blanks();
        if (at_ != end_) fail("expected the end of the text");
        return value;
    }

private:
    [[noreturn]] void fail(std::string_view what) const {
        throw Error(ErrorKind::invalid, "not JSON at " +
                                            position_of(text_, static_cast<std::size_t>(at_ - text_.data())) + ": " +
                                            (at_ == end_ ? "the text ends here: " : "") + std::string(what));
    }

    void skip_blanks() noexcept {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
    }

    bool take(char c) noexcept {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }

    Value next_value(int depth) {
        if (at_ == end_) fail("expected a value");
        const char* from = at_;
        Value value;
        switch (*at_) {
            case '{':
                value = object(deeper(depth));
                break;
            case '[':
                value = array(deeper(depth));
                break;
            case '"':
                value = string_value();
                break;
            case 't':
                literal("true");
                value.kind_ = Kind::boolean;
                break;
            case 'f':
                literal("false");
                value.kind_ = Kind::boolean;
                break;
            case 'n':
                literal("null");
                break;
            default:
                number();
                value.kind_ = Kind::number;
                break;
        }
        value.raw_ = from;
        value.raw_size_ = static_cast<std::uint32_t>(at_ - from);
        return value;
    }

    int deeper(int depth) const {
        if (depth < max_depth) return depth + 1;
        throw Error(ErrorKind::invalid, position_of(text_, static_cast<std::size_t>(at_ - text_.data())) +
                                            ": nested deeper than " + std::to_string(max_depth) + " levels");
    }

    void literal(std::string_view word) {
        for (const char c : word) {
            if (!take(c)) fail("expected `" + std::string(word) + "`");
        }
    }

    void digits() {
        if (at_ == end_ || !is_digit(*at_)) fail("expected a digit");
        while (at_ != end_ && is_digit(*at_)) ++at_;
    }

    void number() {
        const char* from = at_;
        take('-');
        if (at_ == from && !is_digit(*at_)) fail("expected a value");
        if (!take('0')) digits();
        if (take('.')) digits();
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            digits();
        }
    }

    Value string_value() {
        const std::string_view text = string();
        Value value;
        value.kind_ = Kind::string;
        value.content_ = text.data();
        value.count_ = static_cast<std::uint32_t>(text.size());
        return value;
    }

    /// From its first quote to behind its last one.
    std::string_view string() {
        ++at_;
        const char* from = at_;
        bool escapes = false;
        for (;;) {
            const auto left = static_cast<std::size_t>(end_ - at_);
            at_ += plain_json_length({at_, left});
            if (at_ == end_) fail("expected the end of the string");
            const auto c = static_cast<unsigned char>(*at_);
            if (c == '"') break;
            if (c == '\\') {
                escapes = true;
                skip_escape();
            } else if (c < 0x20) {
                fail("a control character in a string must be escaped");
            } else {
                const std::size_t length = utf8_length({at_, static_cast<std::size_t>(end_ - at_)});
                if (length == 0) fail("the string is not UTF-8");
                at_ += length;
            }
        }
        const std::string_view inside(from, static_cast<std::size_t>(at_ - from));
        ++at_;
        return escapes ? decoded(inside) : inside;
    }

    /// One UTF-16 unit of `\uXXXX`, from behind its `u`.
    std::uint32_t unit() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const int digit = at_ == end_ ? -1 : hex_digit(*at_);
            if (digit < 0) fail("expected four hexadecimal digits");
            value = value * 16 + static_cast<std::uint32_t>(digit);
        }
        return value;
    }

    void skip_escape() {
        ++at_;
        if (at_ == end_ || std::string_view("\"\\/bfnrtu").find(*at_) == std::string_view::npos) {
            fail("expected an escape");
        }
        if (*at_++ != 'u') return;
        const std::uint32_t first = unit();
        if (is_low_surrogate(first)) fail("the second half of a surrogate pair stands alone");
        if (!is_high_surrogate(first)) return;
        if (!take('\\') || !take('u') || !is_low_surrogate(unit())) {
            fail("expected the second half of a surrogate pair");
        }
    }

    /// Of text that skip_escape() found right.
    std::string_view decoded(std::string_view text) const {
        char* const to = reinterpret_cast<char*>(document_.room_for(text.size()));  // never longer than its escapes
        char* out = to;
        const auto hex = [&text](std::size_t from) {
            std::uint32_t value = 0;
            for (std::size_t i = from; i < from + 4; ++i)
                value = value * 16 + static_cast<std::uint32_t>(hex_digit(text[i]));
            return value;
        };
        constexpr std::string_view letters = "bfnrt", meanings = "\b\f\n\r\t";
        while (!text.empty()) {
            const std::size_t plain = std::min(text.find('\\'), text.size());
            std::memcpy(out, text.data(), plain);
            out += plain;
            text.remove_prefix(plain);
            if (text.empty()) break;
            const char c = text[1];
            if (c != 'u') {
                const auto place = letters.find(c);
                *out++ = place == std::string_view::npos ? c : meanings[place];
                text.remove_prefix(2);
                continue;
            }
            std::uint32_t code = hex(2);
            std::size_t length = 6;
            if (is_high_surrogate(code)) {
                code = 0x10000 + ((code - 0xD800) << 10U) + (hex(8) - 0xDC00);
                length = 12;
            }
            out = put_utf8(out, code);
            text.remove_prefix(length);
        }
        return {to, static_cast<std::size_t>(out - to)};
    }

    Value array(int depth) {
        const std::size_t first = values_.size();
        ++at_;
        skip_blanks();
        if (!take(']')) {
            for (;;) {
                values_.push_back(next_value(depth));
                skip_blanks();
                if (take(']')) break;
                if (!take(',')) fail("expected `,` or `]`");
                skip_blanks();
            }
        }
        return settled(values_, first, Kind::array);
    }

    Value object(int depth) {
        const std::size_t first = members_.size();
        ++at_;
        skip_blanks();
        if (!take('}')) {
            for (;;) {
                if (at_ == end_ || *at_ != '"') fail("expected a member's name");
                const std::string_view key = string();
                skip_blanks();
                if (!take(':')) fail("expected `:`");
                skip_blanks();
                // Not one expression: what is pushed meanwhile may move the list.
                const Value value = next_value(depth);
                members_.push_back({key, value});
                skip_blanks();
                if (take('}')) break;
                if (!take(',')) fail("expected `,` or `}`");
                skip_blanks();
            }
        }
        return settled(members_, first, Kind::object);
    }

    /// Moves what was found since `first` to where it stays.
    template <class T>
    Value settled(std::vector<T>& found, std::size_t first, Kind kind) {
        Value value;
        value.kind_ = kind;
        const std::size_t count = found.size() - first;
        value.count_ = static_cast<std::uint32_t>(count);
        if (count > 0) {
            void* room = document_.room_for(count * sizeof(T));
            value.content_ = room;
            std::uninitialized_copy_n(found.begin() + static_cast<std::ptrdiff_t>(first), count, static_cast<T*>(room));
            found.resize(first);
        }
        return value;
    }

    std::string_view text_;
    const char* at_;
    const char* end_;
    Document& document_;
    // What of the objects and lists that are still open was found so far.
    std::vector<Value> values_;
    std::vector<Member> members_;
};

std::optional<std::uint64_t> Value::as_unsigned() const noexcept {
    if (kind_ != Kind::number) return std::nullopt;
    const std::string_view text = raw();
    if (text == "-0") return 0;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::int64_t> Value::as_signed() const noexcept {
    if (kind_ != Kind::number) return std::nullopt;
    const std::string_view text = raw();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

void append_compact(std::string& out, const Value& value) {
    switch (value.kind()) {
        case Kind::string:
            append_json_quoted(out, value.string());
            break;
        case Kind::array: {
            char before = '[';
            for (const auto& item : value.items()) {
                out += std::exchange(before, ',');
                append_compact(out, item);
            }
            out += value.items().empty() ? "[]" : "]";
            break;
        }
        case Kind::object: {
            char before = '{';
            for (const auto& [key, member] : value.members()) {
                out += std::exchange(before, ',');
                append_json_quoted(out, key);
                out += ':';
                append_compact(out, member);
            }
            out += value.members().empty() ? "{}" : "}";
            break;
        }
        default:
            out += value.raw();
            break;
    }
}

Document::Document(std::string_view text) {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(ErrorKind::invalid, "not JSON: longer than 4 GB");
    }
    root_ = Parser(text, *this).whole();
}

std::byte* Document::room_for(std::size_t size) {
    constexpr std::size_t alignment = alignof(Member), largest_block = 1U << 20U;
    size = (size + alignment - 1) & ~(alignment - 1);
    if (size > left_) {
        const std::size_t block = std::max(size, next_block_);
        next_block_ = std::min(next_block_ * 2, largest_block);
        blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
        free_ = blocks_.back().get();
        left_ = block;
    }
    std::byte* room = free_;
    free_ += size;
    left_ -= size;
    return room;
}

}  // namespace locald::json
