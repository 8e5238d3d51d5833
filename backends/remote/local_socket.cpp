#include "backends/remote/local_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::backends {

namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw Error(ErrorKind::invalid, "use the socket " + path + ": a socket's path has at most 107 bytes")
            .with_remedy("set XDG_RUNTIME_DIR to a directory with a shorter name");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

bool is_own_user(int socket) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::getuid();
}

}  // namespace

int listen_at(const std::string& path) {
    const auto address = address_of(path);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) throw_errno(errno, "make the socket ", path);
    ::unlink(path.c_str());
    const auto before = ::umask(0177);
    const int bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::umask(before);
    constexpr int waiting = 64;
    if (bound != 0 || ::listen(socket, waiting) != 0) {
        const int error = errno;
        ::close(socket);
        throw_errno(error, "listen at ", path);
    }
    return socket;
}

std::optional<int> connect_to(const std::string& path) {
    const auto address = address_of(path);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) throw_errno(errno, "make a socket");
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && is_own_user(socket)) {
        return socket;
    }
    ::close(socket);
    return std::nullopt;
}

int accept_own_user(int listener) noexcept {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0 || is_own_user(socket)) return socket;
    ::close(socket);
    return -1;
}

}  // namespace locald::backends
