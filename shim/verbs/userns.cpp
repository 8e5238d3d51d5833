#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/namespaces/given_user.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

constexpr unsigned most_fd = 1U << 20U;

/// The one that the setuid prologue made, else one by this caller's own means.
posix::UniqueFd user_namespace(bool keep_id) {
    if (posix::UniqueFd given = given_user_namespace()) return given;
    return posix::make_user_namespace(posix::caller_id_maps(keep_id));
}

int hand_over_namespace(const Globals&, Walker& walker) {
    int number = -1;
    bool keep_id = false;
    for (std::string name; walker.next_option(name);) {
        if (name == "--socket-fd") {
            number = static_cast<int>(walker.number(most_fd));
        } else if (name == "--keep-id") {
            keep_id = walker.flag();
        } else {
            walker.unknown();
        }
    }
    walker.need_exactly(0);
    if (number < 0) walker.refuse("userns: --socket-fd N is missing");
    posix::UniqueFd socket(::fcntl(number, F_DUPFD_CLOEXEC, 3));
    if (!socket) throw_errno(errno, "use --socket-fd ", std::to_string(number));
    posix::send_fd(socket, "userns", user_namespace(keep_id));
    return 0;
}

}  // namespace

const Verb userns_verb{
    "userns", "  userns --socket-fd N               hand over a user namespace with the caller's ids\n",
    "Usage: locald-shim userns --socket-fd N [--keep-id]\n"
    "\n"
    "Makes a user namespace that the caller owns, with his own id as 0 and the ranges that /etc/subuid and "
    "/etc/subgid\n"
    "grant him from 1 on, and sends its descriptor over the connected unix socket N (SCM_RIGHTS). It is there as long\n"
    "as somebody holds it: to unpack and to remove files that belong to those ids.\n"
    "\n"
    "      --socket-fd N   a connected unix socket\n"
    "      --keep-id       the caller's own id is the same inside, and the ranges go around it\n",
    hand_over_namespace};

}  // namespace locald::shim
