#include "backends/remote/local_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::backends {

namespace {

/// The address of a path of any length: one that does not fit is that of its name in the open directory.
class Address {
public:
    explicit Address(const std::string& path) {
        address_.sun_family = AF_UNIX;
        if (path.size() < sizeof address_.sun_path) {
            set(path);
            return;
        }
        const auto slash = path.rfind('/');
        directory_ = ::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (directory_ < 0) {
            throw Error(ErrorKind::unavailable, "open the directory of the socket " + path + ": " + errno_text(errno),
                        errno);
        }
        const auto name = "/proc/self/fd/" + std::to_string(directory_) + path.substr(slash);
        if (name.size() >= sizeof address_.sun_path) {
            ::close(directory_);
            throw Error(ErrorKind::invalid, "use the socket " + path + ": its name is too long");
        }
        set(name);
    }
    ~Address() {
        if (directory_ >= 0) ::close(directory_);
    }
    Address(const Address&) = delete;
    Address& operator=(const Address&) = delete;

    const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&address_); }
    static constexpr socklen_t size = sizeof(sockaddr_un);

private:
    void set(const std::string& path) noexcept { std::memcpy(address_.sun_path, path.c_str(), path.size() + 1); }

    sockaddr_un address_{};
    int directory_ = -1;
};

int make_socket() {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) throw_errno(errno, "make a unix socket");
    return socket;
}

bool is_own_user(int socket) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

}  // namespace

int listen_at(const std::string& path) {
    constexpr int waiting = 64;
    const Address address(path);
    const int socket = make_socket();
    ::unlink(path.c_str());
    // The name gets its mode from the socket: it never has another one.
    if (::fchmod(socket, 0600) != 0 || ::bind(socket, address.get(), Address::size) != 0) {
        const int error = errno;
        ::close(socket);
        throw_errno(error, "make the socket ", path);
    }
    if (::chmod(path.c_str(), 0600) != 0 || ::listen(socket, waiting) != 0) {
        const int error = errno;
        ::close(socket);
        ::unlink(path.c_str());
        throw_errno(error, "listen on the socket ", path);
    }
    return socket;
}

int reach_listener(const std::string& path) {
    const Address address(path);
    const int socket = make_socket();
    if (::connect(socket, address.get(), Address::size) != 0) {
        const int error = errno;
        ::close(socket);
        throw Error(ErrorKind::unavailable, "connect to " + path + ": " + errno_text(error), error);
    }
    if (is_own_user(socket)) return socket;
    ::close(socket);
    throw Error(ErrorKind::denied, "connect to " + path + ": somebody else listens");
}

std::optional<int> connect_to(const std::string& path) {
    try {
        return reach_listener(path);
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unavailable && e.kind() != ErrorKind::denied) throw;
        return std::nullopt;
    }
}

int accept_own_user(int listener) noexcept {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0 || is_own_user(socket)) return socket;
    ::close(socket);
    return -1;
}

}  // namespace locald::backends
