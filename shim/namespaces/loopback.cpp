#include "shim/namespaces/loopback.hpp"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

bool try_bring_loopback_up() noexcept {
    const posix::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return socket && ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

void bring_loopback_up() {
    if (!try_bring_loopback_up()) throw_errno(errno, "bring lo up");
}

}  // namespace locald::shim
