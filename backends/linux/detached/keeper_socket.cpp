#include "backends/linux/detached/keeper_socket.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "backends/remote/local_socket.hpp"
#include "core/base/log.hpp"
#include "core/host/directories.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

KeeperSocket::KeeperSocket(const std::string& directory, const std::string& name) : path_(directory + "/" + name) {
    host::ensure_private_directory(directory.substr(0, directory.rfind('/')));  // as a parent it would be anybody's
    host::ensure_private_directory(directory);
    auto pipe = posix::make_pipe();
    wake_read_ = std::move(pipe.read);
    wake_write_ = std::move(pipe.write);
    socket_.reset(listen_at(path_));
}

KeeperSocket::~KeeperSocket() { close(); }

void KeeperSocket::close() noexcept {
    if (socket_) ::unlink(path_.c_str());
    wake_write_.reset();
    if (thread_.joinable()) thread_.join();
    socket_.reset();
}

void KeeperSocket::serve(std::function<void(int)> take) {
    thread_ = std::thread([this, take = std::move(take)] {
        for (;;) {
            std::array<pollfd, 2> watched{pollfd{socket_.get(), POLLIN, 0}, pollfd{wake_read_.get(), POLLIN, 0}};
            if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
            if (watched[1].revents != 0) return;
            try {
                const int connection = watched[0].revents != 0 ? accept_own_user(socket_.get()) : -1;
                if (connection >= 0) take(connection);
            } catch (const std::exception& e) {
                log(LogLevel::error, e.what());
            }
        }
    });
}

}  // namespace locald::backends
