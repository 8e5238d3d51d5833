#include "core/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/base/error.hpp"

namespace locald {

namespace {

bool is_alnum(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_plain(char c) noexcept { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/// Whether any of eight bytes is not plain. Sometimes also for eight that are (above 0x7E): then each is looked at.
bool has_special(std::uint64_t bytes) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    const auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word & high; };
    const std::uint64_t control = (bytes - ones * 0x20) & ~bytes & high;
    return (control | (bytes & high) | has_zero(bytes ^ (ones * '"')) | has_zero(bytes ^ (ones * '\\')) |
            has_zero(bytes ^ (ones * 0x7F))) != 0;
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
    const bool surrogate = first == 0xED && byte(1) > 0x9F;
    const bool beyond = first == 0xF4 && byte(1) > 0x8F;
    return overlong || surrogate || beyond ? 0 : length;
}

std::size_t plain_json_length(std::string_view text) noexcept {
    std::size_t length = 0;
    std::uint64_t word = 0;
    for (; length + sizeof word <= text.size(); length += sizeof word) {
        std::memcpy(&word, text.data() + length, sizeof word);
        if (has_special(word)) break;
    }
    while (length < text.size() && is_plain(text[length])) ++length;
    return length;
}

bool append_json_quoted(std::string& out, std::string_view text) {
    static constexpr std::string_view hex = "0123456789abcdef";
    bool right = true;
    out += '"';
    while (!text.empty()) {
        // Most texts are plain from end to end: such stretches are copied as a whole.
        const std::size_t plain = plain_json_length(text);
        out += text.substr(0, plain);
        text.remove_prefix(plain);
        if (text.empty()) break;
        const char c = text.front();
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            right = false;
            out += "\xEF\xBF\xBD";
            text.remove_prefix(1);
            continue;
        }
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += "\\u00";
            out += hex[static_cast<unsigned char>(c) >> 4U];
            out += hex[static_cast<unsigned char>(c) & 0xFU];
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
    out += '"';
    return right;
}

std::string json_quote(std::string_view text) {
    std::string out;
    append_json_quoted(out, text);
    return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view blank = " \t\r\n";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::string without_controls(std::string_view text, char by, std::string_view kept) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_c1 = byte(i) == 0xC2 && i + 1 < text.size() && byte(i + 1) < 0xA0;
        const bool is_control = byte(i) < 0x20 || byte(i) == 0x7F;
        out += is_c1 || (is_control && kept.find(text[i]) == std::string_view::npos) ? by : text[i];
        if (is_c1) ++i;
    }
    return out;
}

std::string without_query(std::string_view address) { return std::string(address.substr(0, address.find('?'))); }

std::string clean_path(std::string_view path) {
    // Mostly there is nothing to do: a slash in front, no empty part, none that begins with a dot.
    if (path.size() > 1 && path.front() == '/' && path.back() != '/' && path.find("//") == std::string_view::npos &&
        path.find("/.") == std::string_view::npos) {
        return std::string(path);
    }
    std::vector<std::string_view> kept;
    for (const auto part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            kept.push_back(part);
        } else if (!kept.empty()) {
            kept.pop_back();
        }
    }
    std::string clean;
    for (const auto part : kept) clean.append("/").append(part);
    return clean.empty() ? "/" : clean;
}

std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (text.empty() || result.ec != std::errc{} || result.ptr != end) return std::nullopt;
    return value;
}

bool is_container_id(std::string_view text) noexcept {
    constexpr std::size_t longest = 128;
    if (text.empty() || text.size() > longest || !is_alnum(text.front())) return false;
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '+' || c == '-'; });
}

void check_container_id(std::string_view id) {
    if (id.empty()) throw Error(ErrorKind::invalid, "container id cannot be empty");
    if (!is_container_id(id)) {
        throw Error(ErrorKind::invalid, "invalid container ID format: " + json_quote(id.substr(0, 160)))
            .with_remedy("an id is a letter or digit, then at most 127 letters, digits and _ . + -");
    }
}

}  // namespace locald
