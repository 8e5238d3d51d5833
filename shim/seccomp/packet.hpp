#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "core/base/error.hpp"
#include "shim/seccomp/seccomp.hpp"

namespace locald::shim {

/// The payload of the `execute` message: a filter, and the process's id out here for the agent of one that notifies.
/// Both ends are one program.
struct SeccompPacket {
    SeccompFilter filter;
    pid_t pid = 0;
};

/// As a payload; an empty payload is no filter.
inline std::string pack_filter(const SeccompFilter& filter, pid_t pid = 0) {
    const std::uint32_t head[] = {filter.flags, filter.notify ? 1U : 0U, static_cast<std::uint32_t>(pid)};
    std::string text(sizeof head + filter.program.size() * sizeof(std::uint64_t), '\0');
    std::memcpy(text.data(), head, sizeof head);
    // Of an empty program data() may be null, which memcpy must not be given.
    if (!filter.program.empty()) {
        std::memcpy(text.data() + sizeof head, filter.program.data(), text.size() - sizeof head);
    }
    return text;
}

inline SeccompPacket unpack_filter(const std::string& text) {
    SeccompPacket packet;
    std::uint32_t head[3] = {};
    if (text.size() < sizeof head || (text.size() - sizeof head) % sizeof(std::uint64_t) != 0) {
        throw Error(ErrorKind::system, "sync socket: malformed filter");
    }
    std::memcpy(head, text.data(), sizeof head);
    packet.filter.flags = head[0];
    packet.filter.notify = head[1] != 0;
    packet.pid = static_cast<pid_t>(head[2]);
    packet.filter.program.resize((text.size() - sizeof head) / sizeof(std::uint64_t));
    if (!packet.filter.program.empty()) {
        std::memcpy(packet.filter.program.data(), text.data() + sizeof head, text.size() - sizeof head);
    }
    return packet;
}

}  // namespace locald::shim
