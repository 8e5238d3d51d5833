// What comes over sockets: D-Bus messages of whoever answers as systemd, netlink answers, the messages between the shim
// and the first process of a container that may be hostile. The first byte says which one the rest is.

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <vector>

#include "shim/base/sync.hpp"
#include "shim/cgroup/systemd/dbus_client.hpp"
#include "shim/cgroup/systemd/dbus_wire.hpp"
#include "shim/namespaces/netlink.hpp"
#include "shim/seccomp/packet.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace locald;
using namespace locald::shim;
using fuzz::need;

void dbus(std::string_view bytes) {
    fuzz::accepted(
        [&] {
            const DbusMessage message = decode(bytes);
            need(message_length(bytes) <= bytes.size());
            std::string signature;
            for (const auto& value : message.body) {
                need(first_type_length(value.signature) == value.signature.size());
                signature += value.signature;
            }
            DbusMessage same;
            same.body = message.body;
            need(decode(encode(same)).body == same.body);
        },
        ErrorKind::corrupt);
}

/// As the kernel hands it over: aligned, and nothing behind it.
void netlink(std::string_view bytes) {
    const std::size_t words = (bytes.size() + 7) / 8;
    std::vector<std::uint64_t> datagram(words);
    if (!bytes.empty()) std::memcpy(datagram.data(), bytes.data(), bytes.size());
    datagram.shrink_to_fit();
    const std::string_view whole(reinterpret_cast<const char*>(datagram.data()), words * 8);
    std::size_t seen = 0;
    read_answer(whole, 1, [&](const nlmsghdr& message) {
        const char* start = reinterpret_cast<const char*>(&message);
        need(start >= whole.data() && start + message.nlmsg_len <= whole.data() + whole.size());
        fixed_part<ifinfomsg>(message);
        const auto address = fixed_part<ifaddrmsg>(message);
        need(address.has_value() == (message.nlmsg_len >= NLMSG_LENGTH(sizeof(ifaddrmsg))));
        for_each_attribute(message, sizeof(ifaddrmsg), [&](std::uint16_t, std::string_view value) {
            need(value.data() + value.size() <= start + message.nlmsg_len);
            seen += value.size();
        });
        need(seen <= whole.size());
    });
}

/// Each packet has a length in front.
void sync_messages(std::string_view bytes) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
    posix::UniqueFd ours(ends[0]);
    posix::UniqueFd theirs(ends[1]);
    for (int count = 0; bytes.size() > 1 && count < 4; ++count) {
        const std::size_t length = std::min<std::size_t>(static_cast<std::uint8_t>(bytes[0]), bytes.size() - 1);
        if (::send(theirs.get(), bytes.data() + 1, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
        bytes.remove_prefix(1 + length);
    }
    theirs.reset();
    Message message;
    fuzz::accepted(
        [&] {
            while (receive(ours, message)) {
                const Error error = error_of(message);
                need(error.kind() <= ErrorKind::system);
                if (message.kind == Sync::execute) unpack_filter(message.payload);
            }
        },
        ErrorKind::system);
}

void filter(const std::string& text) {
    fuzz::accepted(
        [&] {
            const SeccompPacket packet = unpack_filter(text);
            const SeccompPacket again = unpack_filter(pack_filter(packet.filter, packet.pid));
            need(again.filter.program == packet.filter.program && again.filter.flags == packet.filter.flags);
            need(again.filter.notify == packet.filter.notify && again.pid == packet.pid);
        },
        ErrorKind::system);
}

void dbus_error(const std::string& text) { dbus_error_name("D-Bus error " + text); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view rest = fuzz::text_of(data + 1, size - 1);
    switch (data[0] % 5) {
        case 0:
            dbus(rest);
            break;
        case 1:
            netlink(rest);
            break;
        case 2:
            sync_messages(rest);
            break;
        case 3:
            filter(std::string(rest));
            break;
        default:
            dbus_error(std::string(rest));
    }
    return 0;
}
