#include "backends/linux/detached/output_pump.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "core/base/error.hpp"
#include "core/host/pipe.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Something outside may hold the end of a pipe that the container gave it; its silence is not waited out for ever.
constexpr auto silence_most = 1s;
// A terminal none of whose users are left may get new ones: how long until it is looked at again.
constexpr auto hangup_rest = 50ms;

struct Source {
    int handle = -1;
    OutputStream stream = OutputStream::out;
    Clock::time_point rests_until{};
};

int milliseconds_until(Clock::time_point then, Clock::time_point now) {
    return static_cast<int>(
        std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(then - now).count()));
}

}  // namespace

OutputPump::OutputPump(OutputHub& hub) : hub_(hub) {
    auto pipe = posix::make_pipe();
    wake_read_ = std::move(pipe.read);
    wake_write_ = std::move(pipe.write);
}

void OutputPump::ended() noexcept {
    const std::lock_guard lock(mutex_);
    wake_write_.reset();
}

void OutputPump::run(int out, int err, bool terminal) {
    std::array<Source, 2> sources{Source{out, OutputStream::out, {}}, Source{err, OutputStream::err, {}}};
    for (const auto& source : sources) {
        if (source.handle >= 0) host::set_non_blocking(source.handle);
    }
    std::vector<char> bytes(piece_most);
    std::optional<Clock::time_point> silent_since;  // once it has ended
    for (;;) {
        const auto now = Clock::now();
        if (sources[0].handle < 0 && sources[1].handle < 0) break;
        if (silent_since && now - *silent_since >= silence_most) break;
        int timeout = silent_since ? milliseconds_until(*silent_since + silence_most, now) : -1;
        std::array<pollfd, 3> watched{};
        for (std::size_t i = 0; i < sources.size(); ++i) {
            const bool rests = !silent_since && now < sources[i].rests_until;
            watched[i] = {rests ? -1 : sources[i].handle, POLLIN, 0};
            if (rests) timeout = milliseconds_until(sources[i].rests_until, now);
        }
        watched[2] = {silent_since ? -1 : wake_read_.get(), POLLIN, 0};
        if (::poll(watched.data(), watched.size(), timeout) < 0) {
            if (errno == EINTR) continue;
            throw_errno(errno, "poll");
        }
        if (watched[2].revents != 0) silent_since = Clock::now();
        for (std::size_t i = 0; i < sources.size(); ++i) {
            if (watched[i].revents == 0) continue;
            const auto got = ::read(sources[i].handle, bytes.data(), bytes.size());
            if (got > 0) {
                hub_.append(sources[i].stream, {bytes.data(), static_cast<std::size_t>(got)});
                if (silent_since) silent_since = Clock::now();
            } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
                continue;
            } else if (terminal && !silent_since) {
                sources[i].rests_until = Clock::now() + hangup_rest;
            } else {
                sources[i].handle = -1;
            }
        }
    }
    hub_.finish();
}

}  // namespace locald::backends
