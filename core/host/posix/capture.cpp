#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <ctime>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

struct Pipe {
    Handle read, write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno(errno, "make a pipe");
    return {Handle(ends[0]), Handle(ends[1])};
}

void make_nonblocking(const Handle& fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) throw_errno(errno, "change a pipe");
}

/// A child that closes its stdin early must cost us EPIPE and not our life; other threads keep their own mask.
class NoSigpipe {
public:
    NoSigpipe() {
        ::sigemptyset(&pipe_);
        ::sigaddset(&pipe_, SIGPIPE);
        sigset_t pending;
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~NoSigpipe() {
        const timespec at_once{};
        if (!was_pending_) {
            while (::sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
            }
        }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;

private:
    sigset_t pipe_{}, before_{};
    bool was_pending_ = false;
};

/// Reads until the pipe is empty for now. Closes it at its end.
void drain(Handle& from, std::string& into, std::size_t most, const std::string& program) {
    std::array<char, 16384> buffer;
    while (from) {
        const auto got = ::read(from.get(), buffer.data(), buffer.size());
        if (got > 0) {
            into.append(buffer.data(), static_cast<std::size_t>(got));
            if (into.size() > most) {
                throw Error(ErrorKind::invalid,
                            "run " + program + ": it prints more than " + std::to_string(most) + " bytes");
            }
        } else if (got == 0) {
            from.reset();
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            throw_errno(errno, "read what ", program, " prints");
        }
    }
}

void feed(Handle& into, std::string_view& rest) {
    while (!rest.empty()) {
        const auto put = ::write(into.get(), rest.data(), rest.size());
        if (put >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(put));
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            break;  // the child wants no more of it: its own affair
        }
    }
    into.reset();
}

}  // namespace

Captured run_and_capture(ChildOptions options, std::string_view input, std::chrono::milliseconds timeout,
                         std::size_t most) {
    if (options.argv.empty()) throw Error(ErrorKind::invalid, "start a child process: no program is named");
    const std::string program = options.argv[0];
    Pipe in = make_pipe();
    Pipe out = make_pipe();
    Pipe err = make_pipe();
    options.handles.push_back({in.read.get(), 0});
    options.handles.push_back({out.write.get(), 1});
    options.handles.push_back({err.write.get(), 2});
    for (const auto* ours : {&in.write, &out.read, &err.read}) make_nonblocking(*ours);

    const NoSigpipe no_sigpipe;
    Child child = Child::start(options);
    in.read.reset();
    out.write.reset();
    err.write.reset();
    const Handle pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child.pid(), 0U)));
    if (!pidfd) throw_errno(errno, "open process ", std::to_string(child.pid()));

    Captured captured;
    const auto end = std::chrono::steady_clock::now() + timeout;
    feed(in.write, input);
    // A grandchild may keep the pipes open for ever: the end of the child itself is what ends the loop.
    for (bool ended = false; !ended;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            if (options.new_process_group) ::kill(-child.pid(), SIGKILL);
            throw Error(ErrorKind::unavailable,
                        "run " + program + ": no end within " + std::to_string(timeout.count()) + " ms");
        }
        std::array<pollfd, 4> entries{pollfd{pidfd.get(), POLLIN, 0}, pollfd{out.read.get(), POLLIN, 0},
                                      pollfd{err.read.get(), POLLIN, 0}, pollfd{in.write.get(), POLLOUT, 0}};
        const int ready =
            ::poll(entries.data(), entries.size(), static_cast<int>(std::min<long long>(left.count(), INT_MAX)));
        if (ready < 0 && errno != EINTR) throw_errno(errno, "wait for ", program);
        if (ready <= 0) continue;
        ended = entries[0].revents != 0;
        drain(out.read, captured.out, most, program);
        drain(err.read, captured.err, most, program);
        if (in.write && entries[3].revents != 0) feed(in.write, input);
    }
    captured.status = child.wait();
    return captured;
}

}  // namespace locald::host
