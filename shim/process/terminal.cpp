#include "shim/process/terminal.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

Terminal open_terminal(const UniqueFd& root, const std::optional<oci::ConsoleSize>& size) {
    Terminal terminal;
    try {
        terminal.master = posix::open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW);
    } catch (Error& e) {
        e.add_context("open the container's terminal");
        e.with_remedy("process.terminal needs a mount of type devpts at /dev/pts");
        throw;
    }
    struct statfs fs {};
    const struct stat st = posix::fstat(terminal.master, "/dev/pts/ptmx");
    if (::fstatfs(terminal.master.get(), &fs) != 0 || fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) ||
        st.st_rdev != makedev(5, 2)) {
        throw Error(ErrorKind::denied, "/dev/pts/ptmx is not the multiplexer of a devpts");
    }
    const int unlock = 0;
    if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) != 0) throw_errno(errno, "unlock the terminal");
    terminal.slave.reset(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal.slave) throw_errno(errno, "open the terminal's slave");
    if (size) {
        winsize window{};
        window.ws_row = static_cast<unsigned short>(size->height);
        window.ws_col = static_cast<unsigned short>(size->width);
        if (::ioctl(terminal.master.get(), TIOCSWINSZ, &window) != 0) throw_errno(errno, "set the terminal's size");
    }
    return terminal;
}

void send_master(const UniqueFd& console, const Terminal& terminal) {
    in_step("hand the terminal over on --console-fd",
            [&] { posix::send_fd(console, "/dev/pts/ptmx", terminal.master); });
}

void enter_terminal(const Terminal& terminal) {
    if (::ioctl(terminal.slave.get(), TIOCSCTTY, 0) != 0) throw_errno(errno, "make the terminal the controlling one");
    for (int fd = 0; fd <= 2; ++fd) {
        if (::dup2(terminal.slave.get(), fd) < 0) throw_errno(errno, "make the terminal a standard stream");
    }
}

void own_standard_streams(const oci::User& user) {
    if (user.uid == 0) return;
    for (int fd = 0; fd <= 2; ++fd) {
        struct stat st {};
        if (::fstat(fd, &st) != 0 || st.st_uid == user.uid) continue;
        if (!S_ISFIFO(st.st_mode) && ::isatty(fd) == 0) continue;
        // EPERM and EINVAL where the object's owner has no number in here; the descriptor itself works all the same.
        static_cast<void>(::fchown(fd, user.uid, static_cast<gid_t>(-1)) == 0);
    }
}

}  // namespace locald::shim
