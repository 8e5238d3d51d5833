#include "shim/container/start_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/error.hpp"
#include "shim/base/sync.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// By the descriptor: a path of the engine's choosing may be longer than the 107 bytes of a socket address.
sockaddr_un address_in(const UniqueFd& state_dir) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", state_dir.get());
    return address;
}

UniqueFd make_socket(int flags) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
    if (!fd) throw_errno(errno, "make the start socket");
    return fd;
}

}  // namespace

UniqueFd listen_for_start(const UniqueFd& state_dir) {
    UniqueFd fd = make_socket(0);
    const sockaddr_un address = address_in(state_dir);
    constexpr int backlog = 64;  // of verbs that look at the same moment
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), backlog) != 0) {
        throw_errno(errno, "make the start socket");
    }
    return fd;
}

UniqueFd connect_to_waiting(const UniqueFd& state_dir) {
    UniqueFd fd = make_socket(SOCK_NONBLOCK);
    const sockaddr_un address = address_in(state_dir);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ECONNREFUSED || errno == ENOENT) return {};
        throw_errno(errno, "connect to the start socket");  // EAGAIN: 64 verbs at once
    }
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) throw_errno(errno, "start socket");
    return fd;
}

UniqueFd await_start(const UniqueFd& listener) {
    for (;;) {
        UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            throw_errno(errno, "wait for start");
        }
        Message message;
        if (receive(connection, message) && message.kind == Sync::execute) return connection;
    }
}

}  // namespace locald::shim
