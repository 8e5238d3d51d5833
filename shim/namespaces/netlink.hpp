#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// A message to rtnetlink(7) while it is built: header, fixed part, attributes.
class NetlinkMessage {
public:
    /// @param type   RTM_…
    /// @param flags  NLM_F_… beside NLM_F_REQUEST and NLM_F_ACK
    template <class Fixed>
    NetlinkMessage(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) : type_(type), flags_(flags) {
        body_.assign(reinterpret_cast<const char*>(&fixed), sizeof fixed);
        pad();
    }
    void put(std::uint16_t attribute, std::string_view bytes);
    void put_u32(std::uint16_t attribute, std::uint32_t value) {
        put(attribute, {reinterpret_cast<const char*>(&value), sizeof value});
    }
    /// With its NUL, as interface names are given.
    void put_text(std::uint16_t attribute, const std::string& text) { put(attribute, {text.c_str(), text.size() + 1}); }

    std::uint16_t type() const noexcept { return type_; }
    std::uint16_t flags() const noexcept { return flags_; }
    const std::string& body() const noexcept { return body_; }

private:
    void pad() { body_.resize(NLMSG_ALIGN(body_.size()), '\0'); }
    std::uint16_t type_, flags_;
    std::string body_;
};

/// A socket to rtnetlink in one network namespace.
class Netlink {
public:
    /// In our own.
    Netlink();
    /// In `network_namespace`, entered for as long as it takes to make the socket.
    explicit Netlink(const posix::UniqueFd& network_namespace);

    /// Sends and waits for all of the answer; each message of it is handed to `each`. Returns the errno of the kernel's
    /// refusal, or 0. `what` names the step in the error of a broken socket.
    int call(const NetlinkMessage& message, std::string_view what,
             const std::function<void(const nlmsghdr&)>& each = {});

private:
    posix::UniqueFd socket_;
    std::uint32_t sequence_ = 0;
};

/// Reads one datagram of an answer to the request `sequence`; each message of it is handed to `each`. @return the errno
/// of a refusal, 0 at the answer's end, nothing when more of it is to come
std::optional<int> read_answer(std::string_view datagram, std::uint32_t sequence,
                               const std::function<void(const nlmsghdr&)>& each);

/// The fixed part of a message; nothing when the message is too short to have one.
template <class Fixed>
std::optional<Fixed> fixed_part(const nlmsghdr& message) {
    if (message.nlmsg_len < NLMSG_LENGTH(sizeof(Fixed))) return std::nullopt;
    Fixed fixed;
    std::memcpy(&fixed, reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN, sizeof fixed);
    return fixed;
}

/// Calls `each` with type and bytes of every attribute behind the fixed part of `message`.
void for_each_attribute(const nlmsghdr& message, std::size_t fixed_size,
                        const std::function<void(std::uint16_t, std::string_view)>& each);

}  // namespace locald::shim
