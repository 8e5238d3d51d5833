#include "backends/ssh/engine.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>
#include <vector>

#include "backends/ssh/tcp.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

constexpr std::size_t block = 256U << 10U;
// How much of a command's stderr is kept for an error text.
constexpr std::size_t words_most = 4096;

bool is_again(int err) { return err == EAGAIN || err == EWOULDBLOCK || err == EINTR; }

}  // namespace

struct SshEngine::Channel {
    Wish wish;
    enum class Stage { opening, starting, running, closing, ended } stage = Stage::opening;
    LIBSSH2_CHANNEL* channel = nullptr;
    std::string to_remote, to_local;
    std::size_t sent = 0, written = 0;
    bool local_ended = false;  ///< no more comes from our side
    bool eof_sent = false;
    bool remote_ended = false;  ///< no more comes from the other side
    bool local_deaf = false;    ///< nobody reads on our side
    bool told_end = false;      ///< our side knows that
    bool talks() const noexcept { return !remote_ended || !to_local.empty(); }
    bool wants_out() const noexcept { return sent < to_remote.size() || (local_ended && !eof_sent); }
};

SshEngine::SshEngine(LIBSSH2_SESSION* session, int socket, std::string name)
    : session_(session), socket_(socket), name_(std::move(name)) {
    const auto ends = host::make_pipe();
    wake_read_ = ends[0];
    wake_write_ = ends[1];
    host::set_non_blocking(wake_read_);
    host::set_non_blocking(wake_write_);
    libssh2_session_set_blocking(session_, 0);
    thread_ = std::thread([this] { loop(); });
}

SshEngine::~SshEngine() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake();
    thread_.join();
    ::close(wake_read_);
    ::close(wake_write_);
}

void SshEngine::wake() noexcept {
    const char byte = 0;
    if (::write(wake_write_, &byte, 1) < 0) return;  // full: the thread is awake already
}

void SshEngine::open(Wish wish) {
    {
        const std::lock_guard lock(mutex_);
        wishes_.push_back(std::move(wish));
        ++wished_;
    }
    wake();
}

std::string SshEngine::last_words() const {
    char* words = nullptr;
    int size = 0;
    libssh2_session_last_error(session_, &words, &size, 0);
    return size > 0 ? std::string(words, static_cast<std::size_t>(size)) : std::string("no reason given");
}

bool SshEngine::is_fatal(long result) const noexcept {
    switch (result) {
        case LIBSSH2_ERROR_SOCKET_SEND:
        case LIBSSH2_ERROR_SOCKET_RECV:
        case LIBSSH2_ERROR_SOCKET_DISCONNECT:
        case LIBSSH2_ERROR_SOCKET_NONE:
        case LIBSSH2_ERROR_PROTO:
        case LIBSSH2_ERROR_INVALID_MAC:
        case LIBSSH2_ERROR_DECRYPT:
        case LIBSSH2_ERROR_KEX_FAILURE:
        case LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
            return true;
        default:
            return false;
    }
}

void SshEngine::lose(const std::string& why) {
    lost_ = true;
    for (auto& channel : channels_) fail(channel, "the connection was lost (" + why + ")");
}

void SshEngine::note(Channel& channel, long result) {
    const bool half_sent = result == LIBSSH2_ERROR_EAGAIN &&
                           (libssh2_session_block_directions(session_) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
    if (half_sent) {
        first_ = &channel;
    } else if (first_ == &channel) {
        first_ = nullptr;
    }
    const bool failed = result < 0 && result != LIBSSH2_ERROR_EAGAIN;
    const bool refused = result == LIBSSH2_ERROR_CHANNEL_FAILURE || result == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED;
    const bool opens = channel.stage < Channel::Stage::running;
    if (is_fatal(result) || (failed && opens && (!refused || has_hung_up(socket_)))) lose(last_words());
}

void SshEngine::loop() {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (;;) {
        take_wishes();
        {
            const std::lock_guard lock(mutex_);
            if (stop_) break;
        }
        bool moved = false;
        if (first_ != nullptr) {
            moved = advance(*first_);
        } else {
            for (auto& channel : channels_) {
                moved = advance(channel) || moved;
                if (first_ != nullptr) break;
            }
        }
        channels_.remove_if([](const Channel& channel) { return channel.stage == Channel::Stage::ended; });
        if (moved) continue;
        talks_ = std::any_of(channels_.begin(), channels_.end(),
                             [](const Channel& channel) { return channel.wish.forwarded && channel.talks(); });
        looked_ = taken_;
        wait();
    }
    for (auto& channel : channels_) fail(channel, "the connection was closed by us");
    channels_.clear();
}

void SshEngine::take_wishes() {
    const std::lock_guard lock(mutex_);
    for (; !wishes_.empty(); wishes_.pop_front()) {
        channels_.emplace_back();
        channels_.back().wish = std::move(wishes_.front());
        ++taken_;
        if (lost_) fail(channels_.back(), "the connection is lost");
    }
}

void SshEngine::wait() {
    std::vector<pollfd> entries{{wake_read_, POLLIN, 0}, {lost_ ? -1 : socket_, 0, 0}};
    const int blocked = libssh2_session_block_directions(session_);
    // The library reads for a channel alone. Without one, what the server says stays where it is, and only its end
    // counts.
    entries[1].events =
        channels_.empty()
            ? static_cast<short>(POLLRDHUP)
            : static_cast<short>(POLLIN | ((blocked & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0 ? POLLOUT : 0));
    for (const auto& channel : channels_) {
        const bool running = channel.stage == Channel::Stage::running;
        short events = 0;
        if (running && !channel.local_ended && channel.to_remote.empty()) events |= POLLIN;
        if (!channel.to_local.empty()) events |= POLLOUT;
        entries.push_back({events != 0 ? channel.wish.local : -1, events, 0});
    }
    if (::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno != EINTR) lose("poll: " + errno_text(errno));
        return;
    }
    if (channels_.empty() && entries[1].revents != 0) lose("the server hung up");
    std::array<char, 64> bytes{};
    while (entries[0].revents != 0 && ::read(wake_read_, bytes.data(), bytes.size()) > 0) {
    }
}

bool SshEngine::advance(Channel& channel) {
    switch (channel.stage) {
        case Channel::Stage::opening:
            return open(channel);
        case Channel::Stage::starting:
            return start(channel);
        case Channel::Stage::running: {
            bool moved = read_local(channel);
            moved = send(channel) || moved;
            if (first_ == nullptr || first_ == &channel) moved = receive(channel) || moved;
            if (first_ == nullptr || first_ == &channel) moved = receive_err(channel) || moved;
            moved = write_local(channel) || moved;
            // A command that closed its stdout has ended; a connection may go on in the other direction.
            const bool done = !channel.wish.command.empty() || channel.eof_sent || channel.local_deaf;
            if (channel.remote_ended && done && channel.to_local.empty() && channel.stage == Channel::Stage::running) {
                channel.stage = Channel::Stage::closing;
                moved = true;
            }
            return moved;
        }
        case Channel::Stage::closing:
            return finish(channel);
        case Channel::Stage::ended:
            return false;
    }
    return false;
}

bool SshEngine::open(Channel& channel) {
    if (opening_ != nullptr && opening_ != &channel) return false;
    opening_ = &channel;
    const auto& wish = channel.wish;
    channel.channel = wish.host.empty()
                          ? libssh2_channel_open_session(session_)
                          : libssh2_channel_direct_tcpip_ex(session_, wish.host.c_str(), wish.port, "127.0.0.1", 22);
    const long result = channel.channel != nullptr ? 0 : libssh2_session_last_errno(session_);
    note(channel, result);
    if (result == LIBSSH2_ERROR_EAGAIN || channel.stage == Channel::Stage::ended) return false;
    opening_ = nullptr;
    if (channel.channel == nullptr) {
        fail(channel, last_words());
    } else {
        channel.stage = Channel::Stage::starting;
    }
    return true;
}

bool SshEngine::start(Channel& channel) {
    if (channel.wish.host.empty()) {
        const int result = libssh2_channel_exec(channel.channel, channel.wish.command.c_str());
        note(channel, result);
        if (result == LIBSSH2_ERROR_EAGAIN || channel.stage == Channel::Stage::ended) return false;
        if (result != 0) {
            fail(channel, last_words());
            return true;
        }
    }
    channel.stage = Channel::Stage::running;
    const std::lock_guard lock(channel.wish.shared->mutex);
    channel.wish.shared->opened = true;
    channel.wish.shared->changed.notify_all();
    return true;
}

bool SshEngine::read_local(Channel& channel) {
    if (channel.local_ended || !channel.to_remote.empty()) return false;
    block_.resize(block);
    const auto got = ::recv(channel.wish.local, block_.data(), block, MSG_DONTWAIT);
    if (got > 0) {
        channel.to_remote.assign(block_.data(), static_cast<std::size_t>(got));
        return true;
    }
    if (got < 0 && is_again(errno)) return false;
    channel.local_ended = true;
    return true;
}

bool SshEngine::send(Channel& channel) {
    if (!channel.wants_out()) return false;
    if (first_ != nullptr && first_ != &channel) return false;
    if (channel.sent == channel.to_remote.size()) {
        const int result = libssh2_channel_send_eof(channel.channel);
        note(channel, result);
        if (result == LIBSSH2_ERROR_EAGAIN) return false;
        channel.eof_sent = true;
        return true;
    }
    const auto put = libssh2_channel_write(channel.channel, channel.to_remote.data() + channel.sent,
                                           channel.to_remote.size() - channel.sent);
    note(channel, put);
    if (put == LIBSSH2_ERROR_EAGAIN) return false;
    if (put < 0) {
        // The other side closed it: what it still said is read, what we say is dropped.
        channel.to_remote.clear();
        channel.sent = 0;
        channel.local_ended = channel.eof_sent = true;
        return true;
    }
    channel.sent += static_cast<std::size_t>(put);
    if (channel.sent == channel.to_remote.size()) {
        channel.to_remote.clear();
        channel.sent = 0;
    }
    return put > 0;
}

bool SshEngine::receive(Channel& channel) {
    if (channel.remote_ended || channel.to_local.size() >= block || channel.stage != Channel::Stage::running)
        return false;
    std::array<char, 65536> bytes;
    const auto got = libssh2_channel_read(channel.channel, bytes.data(), bytes.size());
    note(channel, got);
    if (got == LIBSSH2_ERROR_EAGAIN || channel.stage == Channel::Stage::ended) return false;
    if (got > 0) {
        if (!channel.local_deaf) channel.to_local.append(bytes.data(), static_cast<std::size_t>(got));
        return true;
    }
    if (got < 0 || libssh2_channel_eof(channel.channel) != 0) {
        channel.remote_ended = true;
        return true;
    }
    return false;
}

bool SshEngine::receive_err(Channel& channel) {
    if (channel.stage != Channel::Stage::running) return false;
    std::array<char, 4096> bytes;
    const auto got = libssh2_channel_read_stderr(channel.channel, bytes.data(), bytes.size());
    note(channel, got);
    if (got <= 0) return false;
    const std::lock_guard lock(channel.wish.shared->mutex);
    auto& words = channel.wish.shared->exit.err;
    words.append(bytes.data(), static_cast<std::size_t>(got));
    if (words.size() > words_most) words.erase(0, words.size() - words_most);
    return true;
}

bool SshEngine::write_local(Channel& channel) {
    if (channel.to_local.empty()) {
        // Half of a connection ends by itself: whoever reads on our side learns it while he may still write.
        if (!channel.remote_ended || channel.told_end) return false;
        channel.told_end = true;
        ::shutdown(channel.wish.local, SHUT_WR);
        return true;
    }
    const auto put = ::send(channel.wish.local, channel.to_local.data() + channel.written,
                            channel.to_local.size() - channel.written, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && is_again(errno)) return false;
    if (put < 0) {
        channel.local_deaf = channel.local_ended = true;
        channel.to_local.clear();
        channel.written = 0;
        channel.remote_ended = true;  // nobody wants the rest: the channel is closed
        return true;
    }
    moved_ += static_cast<std::uint64_t>(put);
    channel.written += static_cast<std::size_t>(put);
    if (channel.written == channel.to_local.size()) {
        channel.to_local.clear();
        channel.written = 0;
    } else if (channel.written > block) {
        channel.to_local.erase(0, channel.written);
        channel.written = 0;
    }
    return true;
}

/// Closes a channel; freeing waits for the other side's close, which comes with the exit status.
bool SshEngine::finish(Channel& channel) {
    ::shutdown(channel.wish.local, SHUT_WR);
    const int result = libssh2_channel_close(channel.channel);
    note(channel, result);
    if (result == LIBSSH2_ERROR_EAGAIN || channel.stage == Channel::Stage::ended) return false;
    const int closed = libssh2_channel_wait_closed(channel.channel);
    note(channel, closed);
    if (closed == LIBSSH2_ERROR_EAGAIN || channel.stage == Channel::Stage::ended) return false;
    char* signal = nullptr;
    libssh2_channel_get_exit_signal(channel.channel, &signal, nullptr, nullptr, nullptr, nullptr, nullptr);
    {
        const std::lock_guard lock(channel.wish.shared->mutex);
        auto& exit = channel.wish.shared->exit;
        exit.known = closed == 0;
        exit.code = libssh2_channel_get_exit_status(channel.channel);
        if (signal != nullptr) exit.signal = signal;
    }
    if (signal != nullptr) libssh2_free(session_, signal);
    const int freed = libssh2_channel_free(channel.channel);
    note(channel, freed);
    if (freed == LIBSSH2_ERROR_EAGAIN) return false;
    channel.channel = nullptr;
    end(channel);
    return true;
}

void SshEngine::end(Channel& channel) {
    if (first_ == &channel) first_ = nullptr;
    if (opening_ == &channel) opening_ = nullptr;
    channel.stage = Channel::Stage::ended;
    if (channel.wish.local >= 0) ::close(std::exchange(channel.wish.local, -1));
    const std::lock_guard lock(channel.wish.shared->mutex);
    channel.wish.shared->closed = true;
    channel.wish.shared->changed.notify_all();
}

void SshEngine::fail(Channel& channel, const std::string& what) {
    if (channel.stage == Channel::Stage::ended) return;
    // An orderly end would be taken for all that there was to read.
    const linger at_once{1, 0};
    if (channel.wish.local >= 0 && channel.talks())
        ::setsockopt(channel.wish.local, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    {
        const std::lock_guard lock(channel.wish.shared->mutex);
        if (!channel.wish.shared->opened) {
            channel.wish.shared->error.emplace(lost_ ? ErrorKind::lost : ErrorKind::denied,
                                               "open a channel to " + name_ + ": " + what);
        }
    }
    end(channel);
}

}  // namespace locald::backends
