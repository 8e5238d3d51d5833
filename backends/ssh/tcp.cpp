#include "backends/ssh/tcp.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/base/error.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long an address is waited for before the next one is tried beside it (RFC 8305).
constexpr auto next_after = 250ms;
// A link that is cut without a word is noticed after this long when something was sent.
constexpr int silence_most_ms = 20000;

struct FreeAddresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

void set_options(int socket) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_USER_TIMEOUT
    ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_most_ms, sizeof silence_most_ms);
#endif
}

}  // namespace

int connect_tcp(const std::string& host, unsigned port, const std::string& name, std::chrono::milliseconds most) {
    const std::string step = "connect to " + name;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
        throw Error(ErrorKind::unavailable, step + ": find the address of " + host + ": " + ::gai_strerror(error))
            .with_remedy("check the name, or HostName in ~/.ssh/config");
    }
    const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
    const auto end = Clock::now() + most;
    struct Attempt {
        int socket;
    };
    std::vector<pollfd> attempts;
    int error = ETIMEDOUT;
    const addrinfo* next = addresses.get();
    int connected = -1;
    while (connected < 0) {
        if (next != nullptr) {
            const int socket = ::socket(next->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (socket >= 0) {
                if (::connect(socket, next->ai_addr, next->ai_addrlen) == 0) {
                    connected = socket;
                    break;
                }
                if (errno == EINPROGRESS) {
                    attempts.push_back({socket, POLLOUT, 0});
                } else {
                    error = errno;
                    ::close(socket);
                }
            } else {
                error = errno;
            }
            next = next->ai_next;
        }
        if (attempts.empty()) {
            if (next == nullptr) break;
            continue;
        }
        auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        if (left <= 0ms) break;
        if (next != nullptr) left = std::min<std::chrono::milliseconds>(left, next_after);
        ::poll(attempts.data(), attempts.size(), static_cast<int>(left.count()));
        for (auto it = attempts.begin(); it != attempts.end();) {
            if (it->revents == 0) {
                ++it;
                continue;
            }
            int result = 0;
            socklen_t size = sizeof result;
            ::getsockopt(it->fd, SOL_SOCKET, SO_ERROR, &result, &size);
            if (result == 0 && connected < 0) {
                connected = it->fd;
            } else {
                if (result != 0) error = result;
                ::close(it->fd);
            }
            it = attempts.erase(it);
        }
    }
    for (const auto& attempt : attempts) ::close(attempt.fd);
    if (connected >= 0) {
        set_options(connected);
        return connected;
    }
    Error failed(ErrorKind::unavailable, step + ": " + errno_text(error), error);
    if (error == ECONNREFUSED) failed.with_remedy("nothing listens there: is sshd running, and is the port right?");
    if (error == ETIMEDOUT)
        failed.with_remedy("is the host up, and does a firewall let port " + std::to_string(port) + " through?");
    throw failed;
}

bool has_hung_up(int socket) noexcept {
#ifdef POLLRDHUP
    pollfd entry{socket, POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0;
#else
    char byte = 0;
    const auto got = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
#endif
}

}  // namespace locald::backends
