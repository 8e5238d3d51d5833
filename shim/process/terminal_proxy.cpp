#include "shim/process/terminal_proxy.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"

namespace locald::shim {

namespace {

constexpr std::size_t chunk = 16384;
constexpr int first_patience_ms = 50;
constexpr int most_patience_ms = 1000;

/// Blocks: a slow reader slows the container down, as it would without us between them.
void write_out(const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t n = ::write(STDOUT_FILENO, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            pollfd ready{STDOUT_FILENO, POLLOUT, 0};
            ::poll(&ready, 1, -1);
            continue;
        }
        if (n <= 0) return;  // nobody reads any more
        data += n;
        size -= static_cast<std::size_t>(n);
    }
}

}  // namespace

TerminalProxy::TerminalProxy(posix::UniqueFd master) : master_(std::move(master)) {
    const int flags = ::fcntl(master_.get(), F_GETFL);
    if (flags < 0 || ::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
        throw_errno(errno, "make the terminal non-blocking");
    }
    resize();
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

TerminalProxy::~TerminalProxy() {
    if (raw_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

std::array<pollfd, 2> TerminalProxy::watched() const noexcept {
    const bool wants_input = input_open_ && pending_.empty();
    const auto events = static_cast<short>(POLLIN | (pending_.empty() ? 0 : POLLOUT));
    return {pollfd{wants_input ? STDIN_FILENO : -1, POLLIN, 0}, pollfd{output_open_ ? master_.get() : -1, events, 0}};
}

void TerminalProxy::serve(const std::array<pollfd, 2>& polled) {
    if (polled[0].revents != 0) take_input();
    if ((polled[1].revents & POLLOUT) != 0) flush_pending();
    if ((polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) copy_output();
}

void TerminalProxy::take_input() {
    std::array<char, chunk> buffer;
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n > 0) {
        pending_.assign(buffer.data(), static_cast<std::size_t>(n));
        in_a_line_ = pending_.back() != '\n' && pending_.back() != '\r';
        flush_pending();
    } else if (n == 0 || errno != EINTR) {
        input_open_ = false;
        termios now{};
        patience_ = first_patience_ms;
        if (::tcgetattr(master_.get(), &now) == 0) end_input(now);
    }
}

/// A terminal has no end; what a program takes for one is the character for it. In the middle of a line the first one
/// only hands the line over.
void TerminalProxy::end_input(const termios& now) {
    ended_ = now;
    pending_.assign(in_a_line_ ? 2 : 1, static_cast<char>(now.c_cc[VEOF]));
    flush_pending();
}

int TerminalProxy::patience() const noexcept { return input_open_ || !output_open_ ? -1 : patience_; }

/// A shell edits its lines on a raw terminal. An end that was typed before it made it raw comes out as the character 0,
/// which means nothing to it, and the next shell wants one of its own. So it is typed again in the first two seconds,
/// and later whenever the terminal is read in another way; somebody who reads nothing must not be sent more and more.
void TerminalProxy::look_again() {
    termios now{};
    if (patience() < 0 || !pending_.empty() || ::tcgetattr(master_.get(), &now) != 0) return;
    const bool same = ((now.c_lflag ^ ended_.c_lflag) & ICANON) == 0 && now.c_cc[VEOF] == ended_.c_cc[VEOF];
    if (!same || patience_ < most_patience_ms) end_input(now);
    patience_ = same ? std::min(2 * patience_, most_patience_ms) : first_patience_ms;
}

void TerminalProxy::flush_pending() {
    while (!pending_.empty()) {
        const ssize_t n = ::write(master_.get(), pending_.data(), pending_.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            pending_.clear();
            input_open_ = false;
            return;
        }
        pending_.erase(0, static_cast<std::size_t>(n));
    }
}

/// @return false when there is nothing more for now
bool TerminalProxy::copy_output() {
    std::array<char, chunk> buffer;
    const ssize_t n = ::read(master_.get(), buffer.data(), buffer.size());
    if (n > 0) {
        write_out(buffer.data(), static_cast<std::size_t>(n));
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    output_open_ = false;  // EIO: no process has the other end open
    return false;
}

void TerminalProxy::resize() const noexcept {
    winsize size{};
    if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) static_cast<void>(::ioctl(master_.get(), TIOCSWINSZ, &size));
}

void TerminalProxy::drain() {
    while (output_open_ && copy_output()) {
    }
}

}  // namespace locald::shim
