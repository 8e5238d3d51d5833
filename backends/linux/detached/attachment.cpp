#include "backends/linux/detached/attachment.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "backends/linux/detached/mark_pace.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/host/pipe.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using Mode = runtime::Stdio::Mode;
using Clock = std::chrono::steady_clock;

constexpr auto always = std::chrono::milliseconds(1000);

posix::UniqueFd copy_of(int handle) {
    if (handle < 0) return {};
    posix::UniqueFd copy(::fcntl(handle, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw_errno(errno, "attach: copy descriptor ", std::to_string(handle));
    return copy;
}

}  // namespace

Attachment::Attachment(KeptContainer kept, const runtime::AttachOptions& how, const runtime::Stdio& stdio)
    : kept_(std::move(kept)),
      mark_(how.mark),
      from_(how.resume ? how.resume->position : how.from.value_or(kept_.hub.end())),
      follower_(kept_.hub, from_) {
    if (how.resume) had_ = {how.resume->out, how.resume->err};
    switch (stdio.mode) {
        case Mode::inherit:
            in_ = copy_of(stdio.in);
            out_ = copy_of(stdio.out);
            err_ = copy_of(stdio.err);
            break;
        case Mode::pipes: {
            auto in = posix::make_pipe(), out = posix::make_pipe(), err = posix::make_pipe();
            in_ = std::move(in.read);
            out_ = std::move(out.write);
            err_ = std::move(err.write);
            their_in_ = std::move(in.write);
            their_out_ = std::move(out.read);
            their_err_ = std::move(err.read);
            break;
        }
        case Mode::pty: {
            const auto ends = host::make_socket_pair();
            their_in_.reset(ends[0]);
            out_.reset(ends[1]);
            in_ = copy_of(ends[1]);
            kept_.container.resize(stdio.size);
            break;
        }
    }
    for (const auto* handle : {&out_, &err_}) {
        if (*handle) host::set_non_blocking(handle->get());
    }
    auto stop = posix::make_pipe();
    stop_read_ = std::move(stop.read);
    stop_write_ = std::move(stop.write);
    output_ = std::thread([this] { copy_output(); });
    if (in_ && kept_.in >= 0) input_ = std::thread([this] { copy_input(); });
}

Attachment::~Attachment() {
    follower_.stop();
    stop_write_.reset();
    if (output_.joinable()) output_.join();
    if (input_.joinable()) input_.join();
}

void Attachment::close_stdin() {
    if (their_out_) their_in_.reset();
}

/// Waits until something can be done with it. False once this is to stop.
bool Attachment::wait_for_handle(int handle, short events) const {
    for (;;) {
        std::array<pollfd, 2> watched{pollfd{handle, events, 0}, pollfd{stop_read_.get(), POLLIN, 0}};
        if (::poll(watched.data(), watched.size(), -1) < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        return watched[1].revents == 0;
    }
}

/// False when nobody takes it any more.
bool Attachment::put(int handle, std::string_view bytes) const {
    while (!bytes.empty()) {
        const auto written = ::write(handle, bytes.data(), bytes.size());
        if (written > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (written < 0 && errno == EAGAIN) {
            if (!wait_for_handle(handle, POLLOUT)) return false;
        } else if (written < 0 && errno != EINTR) {
            return false;
        }
    }
    return true;
}

/// False when nobody takes it any more.
bool Attachment::put_piece(const LogPiece& piece) {
    const auto write = [this](bool on_err, std::string_view bytes) {
        const auto& handle = on_err && err_ ? err_ : out_;
        written_.at(on_err && err_ ? 1 : 0) += bytes.size();
        return !handle || put(handle.get(), bytes);
    };
    if (piece.lost > 0) {
        // What the reader had of them is not missing.
        const auto lost = piece.lost - std::min(piece.lost, had_[0] + had_[1]);
        had_ = {};
        if (lost > 0) write(true, "\r\nlocald: " + std::to_string(lost) + " bytes of the output are missing\r\n");
    }
    const bool on_err = piece.stream == OutputStream::err;
    auto& had = had_.at(on_err && err_ ? 1 : 0);
    const auto passed_over = std::min<std::uint64_t>(had, piece.bytes.size());
    had -= passed_over;
    return write(on_err, std::string_view(piece.bytes).substr(passed_over));
}

void Attachment::copy_output() {
    MarkPace pace;
    const auto mark = [&](std::uint64_t position) {
        if (mark_ && had_[0] + had_[1] == 0 && pace.is_due(position)) mark_({position, written_[0], written_[1], 0, 0});
    };
    try {
        mark(from_);
        for (;;) {
            const auto piece = follower_.next();
            if (!piece || !put_piece(*piece)) break;
            mark(piece->offset + piece->bytes.size());
        }
    } catch (const Error& e) {
        log(LogLevel::error, e.what());
    }
    const std::lock_guard lock(mutex_);
    if (their_in_ && !their_out_) ::shutdown(out_.get(), SHUT_WR);  // a socket that is read from as well
    out_.reset();
    err_.reset();
    all_told_ = true;
    changed_.notify_all();
}

void Attachment::copy_input() {
    std::array<char, 4096> bytes{};
    while (wait_for_handle(in_.get(), POLLIN)) {
        const auto got = ::read(in_.get(), bytes.data(), bytes.size());
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        // Its stdin stays open for the next one who attaches.
        if (got <= 0) return;
        if (!put(kept_.in, {bytes.data(), static_cast<std::size_t>(got)})) return;
    }
}

runtime::ExitStatus Attachment::stop(std::chrono::milliseconds grace) {
    kept_.container.stop(grace);
    return wait();
}

runtime::ExitStatus Attachment::wait() {
    for (;;) {
        if (const auto status = wait_for(always)) return *status;
    }
}

std::optional<runtime::ExitStatus> Attachment::wait_for(std::chrono::milliseconds timeout) {
    const auto until = Clock::now() + timeout;
    const auto status = kept_.await_end(timeout);
    if (!status) return std::nullopt;
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, until, [this] { return all_told_; })) return std::nullopt;
    return status;
}

}  // namespace locald::backends
