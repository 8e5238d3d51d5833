#include "core/host/stream.hpp"

#include <signal.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "core/base/error.hpp"

namespace locald::host {

namespace {

/// Keeps SIGPIPE from a process that did not ask for it: a library can't know how its host program handles signals.
class NoPipeSignal {
public:
    NoPipeSignal() {
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::sigemptyset(&pipe_);
        ::sigaddset(&pipe_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~NoPipeSignal() {
        if (!was_pending_) {
            const timespec now{};
            while (::sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
            }
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    NoPipeSignal(const NoPipeSignal&) = delete;
    NoPipeSignal& operator=(const NoPipeSignal&) = delete;

private:
    sigset_t pipe_{}, before_{};
    bool was_pending_ = false;
};

}  // namespace

void read_to_end(int handle, const std::function<void(std::string_view)>& take) {
    std::array<char, 65536> block{};
    for (;;) {
        const ssize_t n = ::read(handle, block.data(), block.size());
        if (n < 0 && errno == EINTR) continue;
        if (n == 0 || (n < 0 && (errno == EIO || errno == EBADF))) return;
        if (n < 0) throw_errno(errno, "read a stream of the container");
        take(std::string_view(block.data(), static_cast<std::size_t>(n)));
    }
}

void write_all(int handle, std::string_view bytes) {
    const NoPipeSignal guard;
    while (!bytes.empty()) {
        const ssize_t n = ::write(handle, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EPIPE || errno == EIO || errno == EBADF)) {
            throw Error(ErrorKind::unavailable, "nobody reads what is written any more", errno);
        }
        if (n < 0) throw_errno(errno, "write");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

long send_of_file(int socket, int file, std::uint64_t offset, std::size_t size) noexcept {
    auto at = static_cast<off_t>(offset);
    return ::sendfile(socket, file, &at, size);
}

}  // namespace locald::host
