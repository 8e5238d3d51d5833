#include "core/host/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

/// tcsetattr(3) that works from a background process group as well, where the kernel would stop us otherwise.
/// Async-signal-safe.
int set_attributes(int fd, const termios& wanted) noexcept {
    sigset_t ttou;
    sigset_t before;
    ::sigemptyset(&ttou);
    ::sigaddset(&ttou, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &ttou, &before);
    int result = 0;
    do {
        result = ::tcsetattr(fd, TCSANOW, &wanted);
    } while (result != 0 && errno == EINTR);
    const int saved = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = saved;
    return result;
}

}  // namespace

struct RawMode::Saved {
    int fd;
    termios before;
    std::atomic<bool> active{false};
};

bool is_terminal(int fd) noexcept { return fd >= 0 && ::isatty(fd) == 1; }

TerminalSize terminal_size(int fd) noexcept {
    winsize size{};
    if (fd < 0 || ::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {24, 80};
    return {size.ws_row, size.ws_col};
}

void set_terminal_size(int fd, TerminalSize size) {
    winsize wanted{};
    wanted.ws_row = static_cast<unsigned short>(size.rows);
    wanted.ws_col = static_cast<unsigned short>(size.columns);
    if (::ioctl(fd, TIOCSWINSZ, &wanted) != 0) throw_errno(errno, "set the size of a terminal");
}

RawMode::RawMode(int fd) {
    termios now{};
    if (!is_terminal(fd) || ::tcgetattr(fd, &now) != 0) return;
    saved_ = std::make_unique<Saved>();
    saved_->fd = fd;
    saved_->before = now;
    ::cfmakeraw(&now);
    saved_->active.store(true);  // before the change: a signal in between puts back what is there anyway
    if (set_attributes(fd, now) != 0) {
        const int err = errno;
        saved_.reset();
        throw_errno(err, "put the terminal into raw mode");
    }
}

RawMode::~RawMode() { restore(); }

void RawMode::restore() noexcept {
    if (saved_ == nullptr || !saved_->active.exchange(false)) return;
    set_attributes(saved_->fd, saved_->before);
}

PtyPair open_pty(TerminalSize size) {
    Handle master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master) throw_errno(errno, "open a pseudo terminal");
    if (::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) throw_errno(errno, "unlock a pseudo terminal");
    // By the master itself, not by its name: the name may belong to another devpts here.
    Handle slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave) throw_errno(errno, "open the other side of a pseudo terminal");
    set_terminal_size(master.get(), size);
    return {master.release(), slave.release()};
}

}  // namespace locald::host
