#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/error.hpp"

namespace locald::fuzz {

inline void need(bool holds) {
    if (!holds) std::abort();
}

/// Runs a parser that may refuse its input, and then only as invalid. @return true when it did not
template <class Parse>
bool accepted(Parse parse, ErrorKind refusal = ErrorKind::invalid) {
    try {
        parse();
        return true;
    } catch (const Error& e) {
        need(e.kind() == refusal);
        return false;
    }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Takes what stands before the first `separator` off the front of `text`.
inline std::string_view take_part(std::string_view& text, char separator) {
    const std::size_t cut = text.find(separator);
    const std::string_view part = text.substr(0, cut);
    text.remove_prefix(cut == std::string_view::npos ? text.size() : cut + 1);
    return part;
}

}  // namespace locald::fuzz
