#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace locald {

/// Owns one file descriptor. A detached mount is one too: until move_mount nothing needs undoing.
class UniqueFd {
public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        const int saved = errno;  // cleanup must not disturb an error being reported
        const int old = std::exchange(fd_, fd);
        if (old >= 0) ::close(old);  // not retried on EINTR: Linux has already freed the number
        errno = saved;
    }

private:
    int fd_ = -1;
};

}  // namespace locald
