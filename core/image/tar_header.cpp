#include "core/image/tar_header.hpp"

#include <algorithm>
#include <charconv>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::image {

bool TarHeader::all_zero() const noexcept {
    return std::all_of(text_.begin(), text_.end(), [](char c) { return c == '\0'; });
}

bool TarHeader::checksum_fits() const noexcept {
    constexpr std::size_t field = 148;
    constexpr std::size_t field_end = field + 8;
    std::int64_t plain = 0;
    std::int64_t with_signs = 0;
    for (std::size_t i = 0; i < text_.size(); ++i) {
        const char c = i >= field && i < field_end ? ' ' : text_[i];
        plain += static_cast<unsigned char>(c);
        with_signs += static_cast<signed char>(c);
    }
    const auto said = number_at(field, 8);
    return said && (*said == plain || *said == with_signs);
}

std::string TarHeader::name() const {
    std::string name = text_at(0, 100);
    if (text_.substr(257, 6) != std::string_view("ustar\0", 6)) return name;
    // star keeps times at the end of what ustar calls the prefix
    const bool star = text_.substr(508, 4) == std::string_view("tar\0", 4);
    const std::string prefix = text_at(345, star ? 131 : 155);
    return prefix.empty() ? name : prefix + "/" + name;
}

std::string TarHeader::text_at(std::size_t at, std::size_t length) const {
    const std::string_view field = text_.substr(at, length);
    return std::string(field.substr(0, field.find('\0')));
}

std::optional<std::int64_t> TarHeader::number_at(std::size_t at, std::size_t length) const {
    std::string_view field = text_.substr(at, length);
    const auto first = static_cast<unsigned char>(field[0]);
    if ((first & 0x80U) != 0) {
        // base 256, two's complement; bit 6 of the first byte is the sign
        const bool negative = (first & 0x40U) != 0;
        std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
        for (std::size_t i = 0; i < field.size(); ++i) {
            std::uint64_t byte = static_cast<unsigned char>(field[i]);
            if (i == 0) byte = negative ? byte | 0x80U : byte & 0x7fU;
            const std::uint64_t top = value >> 55U;  // what is shifted out must be sign bits only
            if (top != (negative ? 0x1ffU : 0U)) return std::nullopt;
            value = (value << 8U) | byte;
        }
        return static_cast<std::int64_t>(value);
    }
    const auto blank = [](char c) { return c == ' ' || c == '\0'; };
    while (!field.empty() && blank(field.front())) field.remove_prefix(1);
    while (!field.empty() && blank(field.back())) field.remove_suffix(1);
    std::int64_t value = 0;
    for (const char c : field) {
        if (blank(c)) break;  // some writers leave rubbish behind the first blank
        if (c < '0' || c > '7') return std::nullopt;
        value = value * 8 + (c - '0');  // 12 octal digits are 36 bits at most
    }
    return value;
}

namespace {

[[noreturn]] void fail(const char* why) {
    throw Error(ErrorKind::corrupt, std::string("read tar: pax header: ") + why);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parse_pax(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> records;
    while (!text.empty()) {
        const auto blank = text.find(' ');
        if (blank == std::string_view::npos) fail("a record without its length");
        const auto length = parse_u64(text.substr(0, blank));
        if (!length || *length <= blank + 1 || *length > text.size()) fail("a record with a wrong length");
        std::string_view record = text.substr(blank + 1, *length - blank - 1);
        text.remove_prefix(*length);
        if (record.back() != '\n') fail("a record without its line end");
        record.remove_suffix(1);
        const auto equals = record.find('=');
        if (equals == std::string_view::npos || equals == 0) fail("a record without a key");
        records.emplace_back(record.substr(0, equals), record.substr(equals + 1));
    }
    return records;
}

std::optional<std::pair<std::int64_t, std::uint32_t>> parse_pax_time(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const auto dot = text.find('.');
    const std::string_view whole = text.substr(0, dot);
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
    if (error != std::errc() || end != whole.data() + whole.size() || seconds < 0) return std::nullopt;
    std::uint32_t nanoseconds = 0;
    if (dot != std::string_view::npos) {
        const std::string_view fraction = text.substr(dot + 1);
        if (!std::all_of(fraction.begin(), fraction.end(), [](char c) { return c >= '0' && c <= '9'; })) {
            return std::nullopt;
        }
        for (std::size_t i = 0; i < 9; ++i) {
            nanoseconds = nanoseconds * 10 + (i < fraction.size() ? static_cast<std::uint32_t>(fraction[i] - '0') : 0U);
        }
    }
    if (!negative) return std::pair(seconds, nanoseconds);
    if (nanoseconds == 0) return std::pair(-seconds, nanoseconds);
    return std::pair(-seconds - 1, 1'000'000'000U - nanoseconds);
}

}  // namespace locald::image
