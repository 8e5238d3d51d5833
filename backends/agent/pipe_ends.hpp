#pragma once

#include <unistd.h>

#include <array>
#include <utility>

#include "core/host/pipe.hpp"

namespace locald::backends {

/// Both ends, until they are given away.
class Pipe {
public:
    Pipe() noexcept = default;
    static Pipe make() {
        Pipe pipe;
        pipe.ends_ = host::make_pipe();
        return pipe;
    }
    Pipe(Pipe&& other) noexcept : ends_(std::exchange(other.ends_, {-1, -1})) {}
    Pipe& operator=(Pipe&& other) noexcept {
        std::swap(ends_, other.ends_);
        return *this;
    }
    ~Pipe() {
        close_read();
        close_write();
    }
    int read() const noexcept { return ends_[0]; }
    int write() const noexcept { return ends_[1]; }
    int release_read() noexcept { return std::exchange(ends_[0], -1); }
    int release_write() noexcept { return std::exchange(ends_[1], -1); }
    void close_read() noexcept {
        if (const int handle = release_read(); handle >= 0) ::close(handle);
    }
    void close_write() noexcept {
        if (const int handle = release_write(); handle >= 0) ::close(handle);
    }

private:
    std::array<int, 2> ends_{-1, -1};
};

}  // namespace locald::backends
