#include "shim/process/handed_fds.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/process/own_program.hpp"
#include "shim/start/first_start.h"

namespace locald::shim {

using posix::UniqueFd;

unsigned listen_fds() {
    constexpr unsigned most = 1U << 16U;
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    if (pid == nullptr || count == nullptr || parse_u64(pid) != static_cast<std::uint64_t>(::getpid())) return 0;
    const auto number = parse_u64(count);
    if (!number || *number > most) {
        throw Error(ErrorKind::invalid,
                    "LISTEN_FDS: expected 0.." + std::to_string(most) + ", got " + json_quote(count));
    }
    return static_cast<unsigned>(*number);
}

void keep_only(const HandedFds& fds) {
    if (fds.end() > locald_program_mount) close_program_mount();  // a number among those that were handed over
    const auto check = [](const char* name, unsigned first, unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            if (::fcntl(static_cast<int>(first + i), F_GETFD) >= 0) continue;
            throw_errno(errno, "unable to stat ", name, " ", std::to_string(i), " (of ", std::to_string(count), ")");
        }
    };
    check("descriptor of LISTEN_FDS", 3, fds.listening);
    check("preserved-fd", 3 + fds.listening, fds.preserved);
    posix::cloexec_from(fds.end());
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
