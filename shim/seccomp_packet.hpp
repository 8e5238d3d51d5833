#pragma once

#include <cstring>
#include <string>

#include "core/base/error.hpp"
#include "shim/seccomp.hpp"

namespace locald::shim {

/// A filter as the payload of the `execute` message; an empty payload is no filter. Both ends are one program.
inline std::string pack_filter(const SeccompFilter& filter) {
    const std::uint32_t flags = filter.flags;
    std::string text(sizeof flags + filter.program.size() * sizeof(std::uint64_t), '\0');
    std::memcpy(text.data(), &flags, sizeof flags);
    std::memcpy(text.data() + sizeof flags, filter.program.data(), text.size() - sizeof flags);
    return text;
}

inline SeccompFilter unpack_filter(const std::string& text) {
    SeccompFilter filter;
    std::uint32_t flags = 0;
    if (text.size() < sizeof flags || (text.size() - sizeof flags) % sizeof(std::uint64_t) != 0) {
        throw Error(ErrorKind::system, "sync socket: malformed filter");
    }
    std::memcpy(&flags, text.data(), sizeof flags);
    filter.flags = flags;
    filter.program.resize((text.size() - sizeof flags) / sizeof(std::uint64_t));
    std::memcpy(filter.program.data(), text.data() + sizeof flags, text.size() - sizeof flags);
    return filter;
}

}  // namespace locald::shim
