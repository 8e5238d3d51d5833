#include "shim/cgroup/systemd/dbus_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::shim {

namespace {

constexpr std::string_view error_mark = "D-Bus error ";
constexpr std::chrono::seconds greeting_time{10};

}  // namespace

DbusClient DbusClient::connect(const std::string& socket_path, bool bus) {
    DbusClient client;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path) return client;
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
    posix::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) throw_errno(errno, "make a socket");
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path.size() + 1);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return client;
    client.socket_ = std::move(socket);
    client.bus_ = bus;
    const auto deadline = Clock::now() + greeting_time;
    client.authenticate(deadline);
    return client;
}

void DbusClient::authenticate(Clock::time_point deadline) {
    // All of it at once, without a round trip. An empty identity means the one the kernel tells the peer, which is
    // right in a user namespace, too.
    static constexpr char greeting[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
    std::string hello(greeting, sizeof greeting - 1);
    std::uint32_t serial = 0;
    if (bus_) {
        DbusMessage message;
        message.path = "/org/freedesktop/DBus";
        message.interface = message.destination = "org.freedesktop.DBus";
        message.member = "Hello";
        message.serial = serial = ++last_serial_;
        hello += encode(message);
    }
    write(hello);
    for (;;) {
        const auto end = buffer_.find("\r\n");
        if (end == std::string::npos) {
            fill(deadline);
            continue;
        }
        const std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        if (line.starts_with("OK")) break;
        if (line.starts_with("DATA")) continue;
        throw Error(ErrorKind::denied, "D-Bus: the peer refuses us: " + line);
    }
    if (bus_) static_cast<void>(answer(serial, deadline));
}

std::uint32_t DbusClient::send(DbusMessage call) {
    call.serial = ++last_serial_;
    write(encode(call));
    return call.serial;
}

DbusMessage DbusClient::call(DbusMessage call, Clock::time_point deadline) {
    return answer(send(std::move(call)), deadline);
}

DbusMessage DbusClient::answer(std::uint32_t serial, Clock::time_point deadline) {
    for (;;) {
        DbusMessage message = next(deadline);
        const bool ends = message.type == DbusMessage::method_return || message.type == DbusMessage::error;
        if (!ends || message.reply_serial != serial) {
            if (message.type == DbusMessage::signal) waiting_.push_back(std::move(message));
            continue;
        }
        if (message.type == DbusMessage::method_return) return message;
        const std::string words =
            !message.body.empty() && message.body.front().signature == "s" ? message.body.front().text : "no reason";
        throw Error(ErrorKind::system, std::string(error_mark) + message.error_name + ": " + words);
    }
}

DbusMessage DbusClient::wait_for_signal(const std::function<bool(const DbusMessage&)>& wanted,
                                        Clock::time_point deadline) {
    for (auto message = waiting_.begin(); message != waiting_.end(); ++message) {
        if (!wanted(*message)) continue;
        DbusMessage found = std::move(*message);
        waiting_.erase(message);
        return found;
    }
    for (;;) {
        DbusMessage message = next(deadline);
        if (message.type == DbusMessage::signal && wanted(message)) return message;
    }
}

DbusMessage DbusClient::next(Clock::time_point deadline) {
    for (;;) {
        const std::size_t length = message_length(buffer_);
        if (length != 0 && length <= buffer_.size()) {
            DbusMessage message = decode(buffer_);
            buffer_.erase(0, length);
            return message;
        }
        fill(deadline);
    }
}

void DbusClient::fill(Clock::time_point deadline) {
    std::array<char, 8192> block{};
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) throw Error(ErrorKind::unavailable, "D-Bus: no answer in time", ETIMEDOUT);
        pollfd watched{socket_.get(), POLLIN, 0};
        const int ready = ::poll(&watched, 1, static_cast<int>(left));
        if (ready <= 0) continue;
        const ssize_t n = ::read(socket_.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "D-Bus: read");
        if (n == 0) throw Error(ErrorKind::lost, "D-Bus: the peer closed the connection");
        buffer_.append(block.data(), static_cast<std::size_t>(n));
        return;
    }
}

void DbusClient::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "D-Bus: write");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

std::string dbus_error_name(const std::string& message) {
    const auto at = message.find(error_mark);
    if (at == std::string::npos) return {};
    const auto start = at + error_mark.size();
    return message.substr(start, message.find(':', start) - start);
}

}  // namespace locald::shim
