#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace locald::host {

/// Owns one descriptor. Interfaces of this room take and give plain numbers.
class Handle {
public:
    Handle() noexcept = default;
    explicit Handle(int fd) noexcept : fd_(fd) {}
    Handle(Handle&& other) noexcept : fd_(other.release()) {}
    Handle& operator=(Handle&& other) noexcept {
        reset(other.release());
        return *this;
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        const int saved = errno;  // cleanup must not disturb an error being reported
        const int old = std::exchange(fd_, fd);
        if (old >= 0) ::close(old);
        errno = saved;
    }

private:
    int fd_ = -1;
};

}  // namespace locald::host
