#include "core/host/pipe.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/base/error.hpp"

namespace locald::host {

std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "make a pipe");
    return ends;
}

std::array<int, 2> make_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw_errno(errno, "make a socket pair");
    }
    return ends;
}

void set_non_blocking(int handle) {
    const int flags = ::fcntl(handle, F_GETFL);
    if (flags < 0 || ::fcntl(handle, F_SETFL, flags | O_NONBLOCK) != 0) {
        throw_errno(errno, "make descriptor ", std::to_string(handle), " non-blocking");
    }
}

}  // namespace locald::host
