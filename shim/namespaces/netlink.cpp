#include "shim/namespaces/netlink.hpp"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

UniqueFd make_socket() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket) throw_errno(errno, "make a netlink socket");
    return socket;
}

/// Our own network namespace again, on every way out. There is one thread, so nobody else is in the wrong one.
class BackHome {
public:
    explicit BackHome(UniqueFd home) : home_(std::move(home)) {}
    ~BackHome() {
        // What would go on in a foreign namespace could touch another's devices.
        if (::setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
    }
    BackHome(const BackHome&) = delete;
    BackHome& operator=(const BackHome&) = delete;

private:
    UniqueFd home_;
};

UniqueFd make_socket_in(const UniqueFd& network_namespace) {
    UniqueFd home = posix::open("/proc/self/ns/net", O_RDONLY);
    if (::setns(network_namespace.get(), CLONE_NEWNET) != 0)
        throw_errno(errno, "enter the container's network namespace");
    const BackHome back(std::move(home));
    return make_socket();
}

}  // namespace

void NetlinkMessage::put(std::uint16_t attribute, std::string_view bytes) {
    rtattr header{};
    header.rta_len = static_cast<unsigned short>(RTA_LENGTH(bytes.size()));
    header.rta_type = attribute;
    body_.append(reinterpret_cast<const char*>(&header), sizeof header);
    body_.append(bytes);
    pad();
}

Netlink::Netlink() : socket_(make_socket()) {}

Netlink::Netlink(const UniqueFd& network_namespace) : socket_(make_socket_in(network_namespace)) {}

int Netlink::call(const NetlinkMessage& message, std::string_view what,
                  const std::function<void(const nlmsghdr&)>& each) {
    nlmsghdr header{};
    header.nlmsg_len = static_cast<__u32>(NLMSG_HDRLEN + message.body().size());
    header.nlmsg_type = message.type();
    header.nlmsg_flags = static_cast<__u16>(message.flags() | NLM_F_REQUEST | NLM_F_ACK);
    header.nlmsg_seq = ++sequence_;
    std::string request(reinterpret_cast<const char*>(&header), sizeof header);
    request += message.body();
    if (::send(socket_.get(), request.data(), request.size(), 0) < 0) throw_errno(errno, what, ": send on netlink");
    alignas(nlmsghdr) std::array<char, 32768> answer{};
    for (;;) {
        sockaddr_nl sender{};
        socklen_t sender_size = sizeof sender;
        const ssize_t size = ::recvfrom(socket_.get(), answer.data(), answer.size(), 0,
                                        reinterpret_cast<sockaddr*>(&sender), &sender_size);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) throw_errno(errno, what, ": receive on netlink");
        // Who has CAP_NET_ADMIN in a container's network namespace can write to our socket there; port 0 is the kernel.
        if (sender.nl_pid != 0) continue;
        const auto end = read_answer({answer.data(), static_cast<std::size_t>(size)}, sequence_, each);
        if (end) return *end;
    }
}

std::optional<int> read_answer(std::string_view datagram, std::uint32_t sequence,
                               const std::function<void(const nlmsghdr&)>& each) {
    while (datagram.size() >= NLMSG_HDRLEN) {
        const auto& part = *reinterpret_cast<const nlmsghdr*>(datagram.data());
        if (part.nlmsg_len < NLMSG_HDRLEN || part.nlmsg_len > datagram.size()) break;
        if (part.nlmsg_seq == sequence) {
            if (part.nlmsg_type == NLMSG_DONE) return 0;
            if (part.nlmsg_type == NLMSG_ERROR) {
                const auto error = fixed_part<nlmsgerr>(part);
                return error ? static_cast<int>(-static_cast<unsigned>(error->error)) : EBADMSG;
            }
            if (each) each(part);
        }
        datagram.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(part.nlmsg_len), datagram.size()));
    }
    return std::nullopt;
}

void for_each_attribute(const nlmsghdr& message, std::size_t fixed_size,
                        const std::function<void(std::uint16_t, std::string_view)>& each) {
    const std::size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(fixed_size);
    if (message.nlmsg_len < start) return;
    const char* at = reinterpret_cast<const char*>(&message) + start;
    std::size_t left = message.nlmsg_len - start;
    while (left >= sizeof(rtattr)) {
        rtattr header{};
        std::memcpy(&header, at, sizeof header);
        if (header.rta_len < sizeof header || header.rta_len > left) return;
        each(static_cast<std::uint16_t>(header.rta_type & NLA_TYPE_MASK),
             {at + sizeof header, header.rta_len - sizeof header});
        const std::size_t step = RTA_ALIGN(header.rta_len);
        if (step > left) return;
        at += step;
        left -= step;
    }
}

}  // namespace locald::shim
