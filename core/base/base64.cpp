#include "core/base/base64.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace locald {

namespace {

constexpr std::string_view base64_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += 4) {
        std::uint32_t bits = 0;
        std::size_t padding = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            const char c = text[i + k];
            const auto letter = base64_letters.find(c);
            if (c == '=' && i + 4 == text.size() && k >= 2) {
                ++padding;
                bits <<= 6U;
                continue;
            }
            if (letter == std::string_view::npos || padding != 0) return std::nullopt;
            bits = (bits << 6U) | static_cast<std::uint32_t>(letter);
        }
        const std::array<char, 3> bytes{static_cast<char>(bits >> 16U & 0xffU), static_cast<char>(bits >> 8U & 0xffU),
                                        static_cast<char>(bits & 0xffU)};
        out.append(bytes.data(), 3 - padding);
    }
    return out;
}

std::string base64_encode(std::string_view bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t bits = 0;
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t k = 0; k < 3; ++k) {
            bits = (bits << 8U) | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        }
        for (std::size_t k = 0; k < 4; ++k) {
            out.push_back(k <= have ? base64_letters[bits >> (18U - 6U * k) & 63U] : '=');
        }
    }
    return out;
}

}  // namespace locald
