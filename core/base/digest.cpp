#include "core/base/digest.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald {

Digest Digest::parse(std::string_view text) {
    constexpr std::string_view prefix = "sha256:";
    constexpr std::size_t hex_digits = 64;
    const auto hex = text.starts_with(prefix) ? text.substr(prefix.size()) : std::string_view();
    const bool good = hex.size() == hex_digits && std::all_of(hex.begin(), hex.end(), [](char c) {
                          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                      });
    if (!good) {
        throw Error(ErrorKind::invalid,
                    "digest " + json_quote(text.substr(0, 160)) + ": expected sha256: and 64 lower case hex digits");
    }
    Digest digest;
    digest.hex_ = hex;
    return digest;
}

Digest Digest::from_sha256(std::span<const std::byte, 32> raw) {
    static constexpr std::string_view digits = "0123456789abcdef";
    Digest digest;
    for (const std::byte b : raw) {
        digest.hex_ += digits[std::to_integer<unsigned>(b) >> 4U];
        digest.hex_ += digits[std::to_integer<unsigned>(b) & 0xFU];
    }
    return digest;
}

}  // namespace locald
