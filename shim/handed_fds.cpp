#include "shim/handed_fds.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"

namespace locald::shim {

using posix::UniqueFd;

void check_preserved(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        if (::fcntl(static_cast<int>(3 + i), F_GETFD) >= 0) continue;
        throw_errno(errno, "unable to stat preserved-fd ", std::to_string(i), " (of ", std::to_string(count), ")");
    }
}

UniqueFd connect_to(const std::string& path, const char* option) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        throw Error(ErrorKind::invalid, std::string(option) + " " + path + ": longer than a socket address may be");
    }
    path.copy(address.sun_path, path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw_errno(errno, option, " ", path, ": connect");
    }
    return fd;
}

}  // namespace locald::shim
