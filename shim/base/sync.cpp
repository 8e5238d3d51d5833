#include "shim/base/sync.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace locald::shim {

namespace {

// A seccomp filter has at most 4096 instructions of 8 bytes; texts are cut well below.
constexpr std::size_t most_payload = 64U << 10U;
constexpr std::size_t most_text = 16U << 10U;

struct Header {
    std::uint32_t kind = 0;
};

struct ErrorHeader {
    std::int32_t kind = 0;
    std::int32_t os_errno = 0;
    std::uint32_t message_size = 0;
};

}  // namespace

void send(const posix::UniqueFd& socket, Sync kind, std::string_view payload) {
    if (payload.size() > most_payload) throw Error(ErrorKind::invalid, "sync message: too long");
    Header header{static_cast<std::uint32_t>(kind)};
    std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{const_cast<char*>(payload.data()), payload.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    while (::sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) throw_errno(errno, "send on the sync socket");
    }
}

void send_error(const posix::UniqueFd& socket, const Error& error) {
    const std::string message = error.message().substr(0, most_text);
    const std::string remedy = error.remedy().substr(0, most_text);
    const ErrorHeader header{static_cast<std::int32_t>(error.kind()), error.os_errno(),
                             static_cast<std::uint32_t>(message.size())};
    std::string payload(sizeof header, '\0');
    std::memcpy(payload.data(), &header, sizeof header);
    send(socket, Sync::failed, payload + message + remedy);
}

void send_last_error(const posix::UniqueFd& socket, const Error& error) {
    try {
        send_error(socket, error);
    } catch (const Error&) {
        // Who would have read it is gone.
    }
}

Error error_of(const Message& message) {
    ErrorHeader header;
    if (message.payload.size() < sizeof header) return {ErrorKind::system, "sync socket: malformed error"};
    std::memcpy(&header, message.payload.data(), sizeof header);
    const std::string_view text = std::string_view(message.payload).substr(sizeof header);
    if (header.message_size > text.size() || header.kind < 0 ||
        header.kind > static_cast<std::int32_t>(ErrorKind::system)) {
        return {ErrorKind::system, "sync socket: malformed error"};
    }
    Error error(static_cast<ErrorKind>(header.kind), std::string(text.substr(0, header.message_size)), header.os_errno);
    if (text.size() > header.message_size) error.with_remedy(std::string(text.substr(header.message_size)));
    return error;
}

bool receive(const posix::UniqueFd& socket, Message& message) {
    Header header;
    std::array<char, 512> small{};
    std::string large;
    ssize_t size = 0;
    // Most messages are a header alone; the size is asked first so that a filter needs no 64 KiB on every wait.
    // ECONNRESET is told once, before what is still queued, when the peer ended with a message of ours unread: its own
    // last words are in the queue behind it.
    do {
        size = ::recv(socket.get(), small.data(), small.size(), MSG_PEEK | MSG_TRUNC);
    } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
    if (size < 0) throw_errno(errno, "receive on the sync socket");
    if (size <= 0) return false;
    if (static_cast<std::size_t>(size) > most_payload + sizeof header) {
        throw Error(ErrorKind::system, "sync socket: oversized packet");
    }
    large.resize(static_cast<std::size_t>(size));
    do {
        size = ::recv(socket.get(), large.data(), large.size(), 0);
    } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
    if (size < static_cast<ssize_t>(sizeof header)) throw Error(ErrorKind::system, "sync socket: short packet");
    std::memcpy(&header, large.data(), sizeof header);
    if (header.kind < static_cast<std::uint32_t>(Sync::mapped) ||
        header.kind > static_cast<std::uint32_t>(Sync::recorded)) {
        throw Error(ErrorKind::system, "sync socket: unknown message " + std::to_string(header.kind));
    }
    message.kind = static_cast<Sync>(header.kind);
    message.payload = large.substr(sizeof header);
    return true;
}

std::string wait_for(const posix::UniqueFd& socket, Sync want) {
    Message message;
    if (!receive(socket, message)) throw Error(ErrorKind::lost, "the other side closed the sync socket");
    if (message.kind == Sync::failed) throw error_of(message);
    if (message.kind != want) throw Error(ErrorKind::system, "sync socket: message out of order");
    return std::move(message.payload);
}

void check_peer(const posix::UniqueFd& socket) {
    char byte = 0;
    const ssize_t size = ::recv(socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
        throw Error(ErrorKind::lost, "the other side closed the sync socket");
    }
}

}  // namespace locald::shim
