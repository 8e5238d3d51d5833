#include "backends/hosts/fingerprint.hpp"

#include "core/base/base64.hpp"
#include "core/base/sha256.hpp"

namespace locald::backends {

namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Up to what is no digit, padded or not: base64_decode() refuses what a file of keys may have.
std::string decoded(std::string_view text) {
    std::string bytes;
    unsigned held = 0, bits = 0;
    for (const char c : text) {
        const auto digit = digits.find(c);
        if (digit == std::string_view::npos) break;
        held = held << 6U | static_cast<unsigned>(digit);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes.push_back(static_cast<char>((held >> bits) & 0xFFU));
    }
    return bytes;
}

std::string encoded_without_padding(std::string_view bytes) {
    auto text = base64_encode(bytes);
    text.resize(text.find_last_not_of('=') + 1);
    return text;
}

std::string bytes_of_hex(std::string_view hex) {
    const auto value = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<char>(value(hex[i]) << 4U | value(hex[i + 1])));
    }
    return bytes;
}

}  // namespace

std::string fingerprint_of(std::string_view blob) {
    return "SHA256:" + encoded_without_padding(bytes_of_hex(sha256_of(blob).hex()));
}

std::string fingerprint_of_base64(std::string_view key) { return fingerprint_of(decoded(key)); }

}  // namespace locald::backends
