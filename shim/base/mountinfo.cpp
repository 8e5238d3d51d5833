#include "shim/base/mountinfo.hpp"

#include <cstddef>

namespace locald::shim {

std::string unescape_mountinfo(std::string_view text) {
    constexpr std::size_t escape_length = 4;
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && text.size() - i >= escape_length && octal(text[i + 1]) && octal(text[i + 2]) &&
            octal(text[i + 3])) {
            const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
            out += static_cast<char>(value & 0xFF);
            i += escape_length - 1;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace locald::shim
