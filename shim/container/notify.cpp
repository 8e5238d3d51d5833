#include "shim/container/notify.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/container/state.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr const char* directory = "notify";
constexpr const char* inside = "/run/notify";
constexpr const char* name = "notify.sock";

/// A path, or `@name` in the abstract namespace.
UniqueFd connect_to_host(const std::string& host) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if ((host[0] != '/' && host[0] != '@') || host.size() >= sizeof address.sun_path) {
        throw Error(ErrorKind::invalid, "NOTIFY_SOCKET " + host + ": neither a path nor a name with @, or too long");
    }
    host.copy(address.sun_path, host.size());
    if (host[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + host.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        throw_errno(errno, "NOTIFY_SOCKET ", host, ": connect");
    }
    return fd;
}

void say(const UniqueFd& socket, const std::string& text) {
    if (::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) throw_errno(errno, "NOTIFY_SOCKET: send");
}

bool says_ready(std::string_view message) {
    for (const auto line : split(message, '\n')) {
        if (line == "READY=1") return true;
    }
    return false;
}

}  // namespace

std::string notify_host() {
    const char* value = std::getenv("NOTIFY_SOCKET");
    return value == nullptr ? std::string() : value;
}

NotifyRelay::NotifyRelay(const UniqueFd& state_dir, std::string host) : host_(std::move(host)) {
    const UniqueFd dir(::openat(state_dir.get(), directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) {
        if (errno == ENOENT) return;
        throw_errno(errno, "open the directory of the notify socket");
    }
    ::unlinkat(dir.get(), name, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // By the descriptor: the path may be longer than a socket address.
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir.get(), name);
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::fchmodat(dir.get(), name, 0777, 0) != 0) {
        throw_errno(errno, "make the container's notify socket");
    }
    socket_ = std::move(socket);
}

void NotifyRelay::serve(pid_t first) {
    std::array<char, 4096> message{};
    while (socket_) {
        const ssize_t n = ::recv(socket_.get(), message.data(), message.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;
        if (!says_ready({message.data(), static_cast<std::size_t>(n)})) continue;
        socket_.reset();
        try {
            tell(first);
        } catch (const Error& e) {
            Reporter(-1).warning(e.what());
        }
    }
}

void NotifyRelay::tell(pid_t first) {
    to_host_ = connect_to_host(host_);
    say(to_host_, "READY=1\n");
    say(to_host_, "MAINPID=" + std::to_string(first) + "\n");
}

void NotifyRelay::settle() const {
    if (!to_host_) return;
    auto pipe = posix::make_pipe();
    try {
        posix::send_fd(to_host_, "BARRIER=1", pipe.write);
    } catch (const Error&) {
        return;  // it has what it needs; only that it noticed in time is not known
    }
    pipe.write.reset();
    pollfd watched{pipe.read.get(), POLLIN, 0};
    constexpr int patience_ms = 30000;
    while (::poll(&watched, 1, patience_ms) < 0 && errno == EINTR) {
    }
}

void NotifyRelay::wait(pid_t first, const UniqueFd& process, int stop) {
    while (socket_) {
        std::array<pollfd, 3> watched{pollfd{socket_.get(), POLLIN, 0}, pollfd{process.get(), POLLIN, 0},
                                      pollfd{stop, POLLIN, 0}};
        if (::poll(watched.data(), watched.size(), -1) < 0) {
            if (errno == EINTR) continue;
            throw_errno(errno, "poll");
        }
        serve(first);
        if (watched[1].revents != 0 || watched[2].revents != 0) break;
    }
    settle();
}

NotifyRelay prepare_notify(oci::Spec& spec, const UniqueFd& state_dir, const Options& options, bool can_mount) {
    if (!spec.process || !can_mount) return {};
    if (::mkdirat(state_dir.get(), directory, 0755) != 0 || ::fchmodat(state_dir.get(), directory, 0755, 0) != 0) {
        throw_errno(errno, "make the directory of the notify socket");
    }
    oci::Mount mount;
    mount.destination = inside;
    mount.source = posix::canonical_path(options.root.empty() ? default_root() : options.root) + "/" + options.id +
                   "/" + directory;
    mount.options = {"bind", "nosuid", "noexec", "nodev", "ro"};
    spec.mounts.push_back(std::move(mount));
    spec.process->env.push_back(std::string("NOTIFY_SOCKET=") + inside + "/" + name);
    if (options.fate == Fate::created) return {};
    return {state_dir, options.notify_host};
}

}  // namespace locald::shim
