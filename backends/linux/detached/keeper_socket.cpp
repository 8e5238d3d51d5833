#include "backends/linux/detached/keeper_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/host/directories.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

constexpr int backlog = 64;

/// The address of a name in an open directory, since a path of any length does not fit into an address.
sockaddr_un address_of(const posix::UniqueFd& directory, const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
    if (path.size() >= sizeof address.sun_path) {
        throw Error(ErrorKind::invalid, "use the socket " + name + ": its name is too long");
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

posix::UniqueFd make_socket() {
    posix::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) throw_errno(errno, "make a unix socket");
    return socket;
}

posix::UniqueFd open_directory(const std::string& path) { return posix::open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW); }

bool is_ours(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == ::geteuid();
}

}  // namespace

KeeperSocket::KeeperSocket(const std::string& directory, const std::string& name) : path_(directory + "/" + name) {
    host::ensure_private_directory(directory.substr(0, directory.rfind('/')));  // as a parent it would be anybody's
    host::ensure_private_directory(directory);
    const auto dir = open_directory(directory);
    const auto address = address_of(dir, name);
    auto pipe = posix::make_pipe();
    wake_read_ = std::move(pipe.read);
    wake_write_ = std::move(pipe.write);
    socket_ = make_socket();
    if (::fchmod(socket_.get(), 0600) != 0 ||
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw_errno(errno, "make the socket ", path_);
    }
    if (::chmod(path_.c_str(), 0600) != 0 || ::listen(socket_.get(), backlog) != 0) {
        const int err = errno;
        ::unlink(path_.c_str());
        throw_errno(err, "listen on the socket ", path_);
    }
}

KeeperSocket::~KeeperSocket() { close(); }

void KeeperSocket::close() noexcept {
    if (socket_) ::unlink(path_.c_str());
    wake_write_.reset();
    if (thread_.joinable()) thread_.join();
    socket_.reset();
}

void KeeperSocket::accept_one(const std::function<void(int)>& take) const {
    const int connection = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;  // gone again, or there are no more descriptors
    if (is_ours(connection)) {
        take(connection);
    } else {
        ::close(connection);
    }
}

void KeeperSocket::serve(std::function<void(int)> take) {
    thread_ = std::thread([this, take = std::move(take)] {
        for (;;) {
            std::array<pollfd, 2> watched{pollfd{socket_.get(), POLLIN, 0}, pollfd{wake_read_.get(), POLLIN, 0}};
            if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
            if (watched[1].revents != 0) return;
            try {
                if (watched[0].revents != 0) accept_one(take);
            } catch (const std::exception& e) {
                log(LogLevel::error, e.what());
            }
        }
    });
}

posix::UniqueFd connect_to_keeper(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) throw Error(ErrorKind::corrupt, "connect to " + path + ": it is no path");
    try {
        const auto dir = open_directory(path.substr(0, slash));
        const auto address = address_of(dir, path.substr(slash + 1));
        auto socket = make_socket();
        if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            throw_errno(errno, "connect to ", path);
        }
        if (!is_ours(socket.get())) throw Error(ErrorKind::denied, "connect to " + path + ": somebody else listens");
        return socket;
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::denied) throw;
        throw Error(ErrorKind::unavailable, e.message(), e.os_errno());
    }
}

}  // namespace locald::backends
