#include "backends/protocol/bulk_link.hpp"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "backends/protocol/values.hpp"
#include "core/host/pipe.hpp"
#include "core/host/stream.hpp"

namespace locald::protocol {

namespace {

using namespace std::chrono_literals;

// More than comes at once from any socket or pipe, so that what came is read with one call.
constexpr std::size_t buffer_size = 256U << 10U;
constexpr auto look_at_silence = 1s;

bool is_again(int err) { return err == EAGAIN || err == EWOULDBLOCK || err == EINTR; }

void block_broken_pipes() {
    // A reader that goes away is an error to see in write().
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

constexpr const char* closed = "the connection was closed by the other side";

[[noreturn]] void throw_lost(const std::string& why) { throw Error(ErrorKind::lost, "talk to the other host: " + why); }
[[noreturn]] void throw_not_sent(int err) { throw_lost(err == EPIPE ? closed : errno_text(err)); }

}  // namespace

BulkLink::BulkLink(int in, int out, const BulkTiming& timing)
    : in_(in), out_(out), timing_(timing), buffer_(buffer_size) {
    host::set_non_blocking(in_);
    host::set_non_blocking(out_);
    block_broken_pipes();
    pinger_ = std::thread([this] { ping(); });
}

BulkLink::~BulkLink() {
    {
        const std::lock_guard lock(ending_);
        ends_ = true;
    }
    ends_changed_.notify_all();
    pinger_.join();
    ::close(in_);
    if (out_ != in_) ::close(out_);
}

void BulkLink::ping() {
    std::string word;
    append_frame(word, FrameType::control, 0, dump(Json{{"ping", true}}));
    std::unique_lock lock(ending_);
    while (!ends_changed_.wait_for(lock, timing_.ping, [this] { return ends_; })) {
        // While somebody sends there is no need for it, and where the other side does not read it is no use.
        const std::unique_lock mine(sending_, std::try_to_lock);
        pollfd entry{out_, POLLOUT, 0};
        if (!mine || ::poll(&entry, 1, 0) <= 0 || (entry.revents & POLLOUT) == 0) continue;
        try {
            write_all(word, {}, false);
        } catch (const Error&) {  // the other thread sees it too
            return;
        }
    }
}

void BulkLink::check_silence() const {
    if (Clock::now() - heard_ < timing_.silence) return;
    throw_lost("it said nothing for " + std::to_string(timing_.silence / 1s) + " seconds");
}

void BulkLink::wait_to_write(bool reads_meanwhile) {
    const bool reads = reads_meanwhile && have_ < buffer_.size() / 2;
    std::array<pollfd, 2> entries{{{out_, POLLOUT, 0}, {reads ? in_ : -1, POLLIN, 0}}};
    ::poll(entries.data(), entries.size(), static_cast<int>(std::chrono::milliseconds(look_at_silence).count()));
    if (entries[1].revents != 0) fill();
    if (reads) check_silence();
}

/// @param reads_meanwhile  so that the other side, which may be about to say something, is not held up
void BulkLink::write_all(std::string_view header, std::string_view payload, bool reads_meanwhile) {
    std::array<iovec, 2> parts{
        {{const_cast<char*>(header.data()), header.size()}, {const_cast<char*>(payload.data()), payload.size()}}};
    std::size_t first = 0;
    while (first < parts.size()) {
        const auto put = ::writev(out_, parts.data() + first, static_cast<int>(parts.size() - first));
        if (put < 0 && is_again(errno)) {
            wait_to_write(reads_meanwhile);
            continue;
        }
        if (put < 0) throw_not_sent(errno);
        auto left = static_cast<std::size_t>(put);
        for (; first < parts.size() && left >= parts.at(first).iov_len; ++first) left -= parts.at(first).iov_len;
        if (first < parts.size()) {
            parts.at(first).iov_base = static_cast<char*>(parts.at(first).iov_base) + left;
            parts.at(first).iov_len -= left;
        }
    }
}

void BulkLink::send_frame(FrameType type, std::string_view payload) {
    std::string header;
    append_header(header, {payload.size(), type, 0});
    const std::lock_guard lock(sending_);
    write_all(header, payload, true);
}

void BulkLink::send(const Json& message) {
    const auto text = dump(message);
    if (text.size() > max_control) throw Error(ErrorKind::invalid, "send a message above 1 MiB to the other host");
    send_frame(FrameType::control, text);
}

void BulkLink::send_bytes(FrameType type, std::string_view bytes) { send_frame(type, bytes); }

void BulkLink::send_file(FrameType type, int file, std::uint64_t offset, std::size_t size) {
    std::string header;
    append_header(header, {size, type, 0});
    const std::lock_guard lock(sending_);
    write_all(header, {}, true);
    while (size > 0) {
        const auto put = host::send_of_file(out_, file, offset, size);
        if (put < 0 && is_again(errno)) {
            wait_to_write(true);
        } else if (put < 0) {
            throw_not_sent(errno);
        } else if (put == 0) {
            throw Error(ErrorKind::corrupt, "send a file to the other host: it is shorter than it was");
        } else {
            offset += static_cast<std::uint64_t>(put);
            size -= static_cast<std::size_t>(put);
        }
    }
}

/// Reads into the buffer, all of which was used. @return whether something came
bool BulkLink::fill() {
    const auto got = ::read(in_, buffer_.data() + have_, buffer_.size() - have_);
    if (got < 0 && is_again(errno)) return false;
    if (got < 0) throw_lost(errno_text(errno));
    if (got == 0) throw_lost(closed);
    have_ += static_cast<std::size_t>(got);
    heard_ = Clock::now();
    return true;
}

/// The next thing out of the buffer, or nothing when more must come first.
std::optional<BulkLink::Incoming> BulkLink::take() {
    for (;;) {
        const std::string_view rest(buffer_.data() + at_, have_ - at_);
        if (data_left_ > 0) {
            if (rest.empty()) return std::nullopt;
            const auto piece = rest.substr(0, data_left_);
            at_ += piece.size();
            data_left_ -= piece.size();
            return Incoming{nullptr, piece};
        }
        if (inside_control_) {
            const auto piece = rest.substr(0, control_left_);
            control_.append(piece);
            at_ += piece.size();
            control_left_ -= piece.size();
            if (control_left_ > 0) return std::nullopt;
            inside_control_ = false;
            auto message = std::make_unique<Json>(parse(control_));
            control_.clear();
            if (message->contains("ping")) continue;
            return Incoming{std::move(message), {}};
        }
        if (rest.size() < header_size) return std::nullopt;
        const auto header = read_header(rest);
        at_ += header_size;
        if (header.type == FrameType::control) {
            inside_control_ = true;
            control_left_ = header.length;
        } else if (is_data(header.type)) {
            data_left_ = header.length;
        } else {
            throw Error(ErrorKind::corrupt, "read a frame of a type that does not belong here");
        }
    }
}

std::optional<BulkLink::Incoming> BulkLink::next(std::chrono::milliseconds most) {
    const auto end = Clock::now() + most;
    for (;;) {
        if (auto incoming = take()) return incoming;
        // What is left is the beginning of a header.
        std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(at_),
                  buffer_.begin() + static_cast<std::ptrdiff_t>(have_), buffer_.begin());
        have_ -= std::exchange(at_, 0);
        if (fill()) continue;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        if (left <= 0ms) return std::nullopt;
        check_silence();
        pollfd entry{in_, POLLIN, 0};
        ::poll(&entry, 1, static_cast<int>(std::min<std::chrono::milliseconds>(left, look_at_silence).count()));
    }
}

}  // namespace locald::protocol
