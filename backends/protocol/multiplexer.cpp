#include "backends/protocol/multiplexer.hpp"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "backends/protocol/values.hpp"
#include "core/host/pipe.hpp"

namespace locald::protocol {

namespace {

using namespace std::chrono_literals;

// A pipe or terminal of somebody else's that poll calls ready takes or gives this much without blocking.
constexpr std::size_t careful_block = 4096;
// A terminal none of whose users are left may get new ones: how long until it is looked at again.
constexpr auto hangup_rest = 50ms;

bool is_again(int err) { return err == EAGAIN || err == EWOULDBLOCK || err == EINTR; }

/// A control frame of the multiplexer itself: the end of one direction of a stream.
std::string end_message(FrameType type) { return "{\"end\":" + std::to_string(static_cast<int>(type)) + "}"; }
/// The same for the other direction: whoever sends may stop.
std::string broken_message(FrameType type) { return "{\"broken\":" + std::to_string(static_cast<int>(type)) + "}"; }

}  // namespace

Multiplexer::Multiplexer(int link_in, int link_out) : link_in_(link_in), link_out_(link_out) {
    const auto ends = host::make_pipe();
    wake_read_ = ends[0];
    wake_write_ = ends[1];
    host::set_non_blocking(wake_read_);
    host::set_non_blocking(wake_write_);
    host::set_non_blocking(link_in_);
    host::set_non_blocking(link_out_);
}

Multiplexer::~Multiplexer() {
    while (!readers_.empty()) forget(readers_.begin()->first.first);
    while (!writers_.empty()) forget(writers_.begin()->first.first);
    ::close(link_in_);
    if (link_out_ != link_in_) ::close(link_out_);
    ::close(wake_read_);
    ::close(wake_write_);
}

void Multiplexer::wake() noexcept {
    const char byte = 0;
    if (::write(wake_write_, &byte, 1) < 0) return;  // full: the loop is awake already
}

void Multiplexer::stop(std::chrono::milliseconds linger) {
    {
        const std::lock_guard lock(mutex_);
        stop_at_ = Clock::now() + linger;
    }
    wake();
}

void Multiplexer::send(std::uint32_t stream, const nlohmann::json& message) {
    const std::string text = dump(message);
    if (text.size() > max_control) {
        throw Error(ErrorKind::invalid, "send a message of " + std::to_string(text.size()) +
                                            " bytes to the other host: at most 1 MiB crosses at once")
            .with_remedy("pass less in arguments and environment, or by a file");
    }
    {
        const std::lock_guard lock(mutex_);
        append_frame(outgoing_, FrameType::control, stream, text);
    }
    wake();
}

void Multiplexer::read_from(std::uint32_t stream, FrameType type, Port port) {
    if (port.ours) host::set_non_blocking(port.handle);
    {
        const std::lock_guard lock(mutex_);
        readers_[{stream, type}].port = port;
    }
    wake();
}

void Multiplexer::write_to(std::uint32_t stream, FrameType type, Port port) {
    if (port.ours) host::set_non_blocking(port.handle);
    {
        const std::lock_guard lock(mutex_);
        writers_[{stream, type}].port = port;
    }
    wake();
}

void Multiplexer::finish_reading(std::uint32_t stream, std::chrono::milliseconds silence) {
    {
        const std::lock_guard lock(mutex_);
        for (auto& [key, reader] : readers_) {
            if (key.first != stream) continue;
            reader.silence = silence;
            reader.rests_until = {};
            break_silence(reader);
        }
    }
    wake();
}

void Multiplexer::break_silence(Reader& reader) const {
    if (reader.silence) reader.until = Clock::now() + *reader.silence;
}

void Multiplexer::discard(std::uint32_t stream) {
    {
        const std::lock_guard lock(mutex_);
        for (auto& [key, reader] : readers_) {
            if (key.first != stream) continue;
            reader.unwanted = true;
            reader.credit = first_credit;
        }
    }
    wake();
}

void Multiplexer::forget(std::uint32_t stream) {
    {
        const std::lock_guard lock(mutex_);
        std::vector<Port> ports;
        const auto take_away = [&](auto& all) {
            for (auto it = all.lower_bound({stream, FrameType{}}); it != all.end() && it->first.first == stream;) {
                ports.push_back(it->second.port);
                it = all.erase(it);
            }
        };
        take_away(readers_);
        take_away(writers_);
        // One handle may be in two ports.
        for (std::size_t i = 0; i < ports.size(); ++i) {
            const bool again = std::any_of(ports.begin(), ports.begin() + static_cast<std::ptrdiff_t>(i),
                                           [&](const Port& one) { return one.handle == ports[i].handle; });
            if (!again) close_port(ports[i]);
        }
    }
    wake();  // the loop is to wait for what is left
}

void Multiplexer::expect_word_every(std::chrono::milliseconds most) {
    {
        const std::lock_guard lock(mutex_);
        word_every_ = most;
        heard_ = Clock::now();
    }
    wake();
}

void Multiplexer::run(const MultiplexerEvents& events) {
    // A reader of ours that goes away is an error to see in write().
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (bool more = true; more;) {
        News news;
        more = step(news);
        tell(events, news);
    }
}

void Multiplexer::tell(const MultiplexerEvents& events, News& news) {
    for (const auto& message : news.messages) events.message(message.stream, message.content);
    for (const auto& [stream, type] : news.closed) {
        if (events.closed) events.closed(stream, type);
    }
    if (news.lost) events.lost(*news.lost);
}

struct Multiplexer::Poll {
    std::vector<pollfd> entries;
    std::vector<std::pair<Key, bool>> ports;  ///< of the entries from first_port on: which, and whether it is a reader
    int timeout = -1;

    static constexpr std::size_t wake = 0, link_in = 1, first_port = 3;  // 2 is the link's other direction
};

bool Multiplexer::prepare(Poll& poll) {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    const auto wait_until = [&](Clock::time_point then) {
        const auto ms = std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(then - now).count());
        if (poll.timeout < 0 || ms < poll.timeout) poll.timeout = static_cast<int>(ms);
    };
    const bool pending = sent_ < outgoing_.size();
    if (stop_at_) {
        if (!pending || now >= *stop_at_) return false;
        wait_until(*stop_at_);
    }
    if (word_every_ && !lost_) wait_until(heard_ + *word_every_);
    poll.entries.push_back({wake_read_, POLLIN, 0});
    poll.entries.push_back({lost_ ? -1 : link_in_, POLLIN, 0});
    poll.entries.push_back({pending ? link_out_ : -1, POLLOUT, 0});
    for (const auto& [key, reader] : readers_) {
        if (reader.at_end || !can_send(reader)) continue;
        if (reader.silence) wait_until(reader.until);
        if (now < reader.rests_until) {
            wait_until(reader.rests_until);
            continue;
        }
        poll.entries.push_back({reader.port.handle, POLLIN, 0});
        poll.ports.emplace_back(key, true);
    }
    for (const auto& [key, writer] : writers_) {
        if (writer.left() == 0) continue;
        poll.entries.push_back({writer.port.handle, POLLOUT, 0});
        poll.ports.emplace_back(key, false);
    }
    return true;
}

/// One round: waits until something can be done and does it. False when all is done.
bool Multiplexer::step(News& news) {
    Poll poll;
    if (!prepare(poll)) return false;
    if (::poll(poll.entries.data(), poll.entries.size(), poll.timeout) < 0) {
        if (errno == EINTR) return true;
        throw_errno(errno, "poll");
    }
    const std::lock_guard lock(mutex_);
    if (poll.entries[Poll::wake].revents != 0) {
        std::array<char, 64> bytes{};
        while (::read(wake_read_, bytes.data(), bytes.size()) > 0) {
        }
    }
    if (poll.entries[Poll::link_in].revents != 0) read_link(news);
    if (is_silent_too_long()) {
        lose(
            Error(ErrorKind::lost, "the other side said nothing for " + std::to_string(*word_every_ / 1s) + " seconds"),
            news);
    }
    use_ports(poll);
    close_ended(news);
    flush_link();
    return true;
}

void Multiplexer::use_ports(const Poll& poll) {
    for (std::size_t i = 0; i < poll.ports.size(); ++i) {
        const auto& entry = poll.entries[Poll::first_port + i];
        if (entry.revents == 0) continue;
        const auto& [key, reads] = poll.ports[i];
        // Another thread may have taken the port away meanwhile.
        if (reads) {
            const auto found = readers_.find(key);
            if (found != readers_.end() && found->second.port.handle == entry.fd) read_port(key, found->second);
        } else {
            const auto found = writers_.find(key);
            if (found != writers_.end() && found->second.port.handle == entry.fd) write_port(key, found->second);
        }
    }
}

/// A terminal's handle is in a reader and in a writer: it is closed with the second of them.
void Multiplexer::close_port(const Port& port) {
    const auto uses = [&](const auto& ports) {
        return std::count_if(ports.begin(), ports.end(),
                             [&](const auto& one) { return one.second.port.handle == port.handle; });
    };
    if (port.ours && uses(readers_) + uses(writers_) == 0) ::close(port.handle);
}

void Multiplexer::close_ended(News& news) {
    const auto now = Clock::now();
    for (auto it = readers_.begin(); it != readers_.end();) {
        const auto& [key, reader] = *it;
        if (!reader.at_end && !(reader.silence && can_send(reader) && now >= reader.until)) {
            ++it;
            continue;
        }
        append_frame(outgoing_, FrameType::control, key.first, end_message(key.second));
        news.closed.push_back(key);
        const Port port = reader.port;
        it = readers_.erase(it);
        close_port(port);
    }
    for (auto it = writers_.begin(); it != writers_.end();) {
        const auto& [key, writer] = *it;
        if (!writer.ends || writer.left() > 0) {
            ++it;
            continue;
        }
        news.closed.push_back(key);
        const Port port = writer.port;
        it = writers_.erase(it);
        close_port(port);
    }
}

void Multiplexer::read_link(News& news) {
    std::array<char, 128 * 1024> bytes;
    const auto got = ::read(link_in_, bytes.data(), bytes.size());
    if (got < 0 && is_again(errno)) return;
    if (got <= 0) {
        std::string why = "the connection was closed by the other side";
        if (got < 0) why += ": " + errno_text(errno);
        if (got == 0 && incoming_.inside_frame()) why += " in the middle of a frame";
        lose(Error(ErrorKind::lost, why), news);
        return;
    }
    heard_ = Clock::now();
    try {
        incoming_.push({bytes.data(), static_cast<std::size_t>(got)});
        while (const auto frame = incoming_.next()) take(*frame, news);
    } catch (const Error& e) {
        lose(e, news);
    }
}

void Multiplexer::lose(Error why, News& news) {
    lost_ = true;
    for (auto& [key, reader] : readers_) reader.credit = first_credit;
    for (auto& [key, writer] : writers_) writer.ends = true;
    news.lost = std::move(why.add_context("talk to the other host"));
}

void Multiplexer::take(const Frame& frame, News& news) {
    switch (frame.type) {
        case FrameType::control: {
            if (take_own(frame)) return;
            auto message = parse(frame.payload);
            if (!message.is_object()) throw Error(ErrorKind::corrupt, "read a message: it is no object");
            news.messages.push_back({frame.stream, std::move(message)});
            return;
        }
        case FrameType::credit: {
            const auto credit = read_credit(frame);
            const auto found = readers_.find({frame.stream, credit.type});
            if (found == readers_.end()) return;
            auto& have = found->second.credit;
            have = std::min<std::size_t>(have + credit.bytes, first_credit);
            break_silence(found->second);
            return;
        }
        case FrameType::in:
        case FrameType::out:
        case FrameType::err:
            take_bytes(frame);
            return;
    }
}

/// The ends of streams, which whoever drives us hears of as closed ports.
bool Multiplexer::take_own(const Frame& frame) {
    for (const auto type : {FrameType::in, FrameType::out, FrameType::err}) {
        if (frame.payload == end_message(type)) {
            const auto found = writers_.find({frame.stream, type});
            if (found != writers_.end()) found->second.ends = true;
            return true;
        }
        if (frame.payload == broken_message(type)) {
            const auto found = readers_.find({frame.stream, type});
            if (found != readers_.end()) found->second.at_end = true;
            return true;
        }
    }
    return false;
}

void Multiplexer::take_bytes(const Frame& frame) {
    const auto found = writers_.find({frame.stream, frame.type});
    if (found == writers_.end()) return;  // forgotten, or it never was: its sender runs out of credit
    auto& writer = found->second;
    if (writer.ends) throw Error(ErrorKind::corrupt, "read bytes of a stream after its end");
    if (writer.left() + writer.to_credit + frame.payload.size() > first_credit) {
        throw Error(ErrorKind::corrupt, "read more bytes of a stream than it has credit for");
    }
    writer.bytes.append(frame.payload);
    if (writer.port.ours || writer.broken) write_port(found->first, writer);
}

void Multiplexer::flush_link() {
    if (lost_) {
        outgoing_.clear();
        sent_ = 0;
    }
    while (sent_ < outgoing_.size()) {
        const auto put = ::write(link_out_, outgoing_.data() + sent_, outgoing_.size() - sent_);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && is_again(errno)) break;
        if (put < 0) {
            // What it said last may still be there to read, so the end is taken from the reading side.
            outgoing_.clear();
            sent_ = 0;
            return;
        }
        sent_ += static_cast<std::size_t>(put);
    }
    if (sent_ == outgoing_.size() || sent_ > link_most) {
        outgoing_.erase(0, sent_);
        sent_ = 0;
    }
}

void Multiplexer::read_port(const Key& key, Reader& reader) {
    std::array<char, max_data> bytes;
    const std::size_t most = std::min({bytes.size(), reader.credit, reader.port.ours ? bytes.size() : careful_block});
    const auto got = ::read(reader.port.handle, bytes.data(), most);
    if (got > 0) {
        break_silence(reader);
        if (lost_ || reader.unwanted) return;
        reader.credit -= static_cast<std::size_t>(got);
        append_frame(outgoing_, key.second, key.first, {bytes.data(), static_cast<std::size_t>(got)});
    } else if (got == 0 || !is_again(errno)) {
        // A terminal's master says so when nobody has the other side open.
        if (reader.port.stays && !reader.silence) {
            reader.rests_until = Clock::now() + hangup_rest;
        } else {
            reader.at_end = true;
        }
    }
}

void Multiplexer::write_port(const Key& key, Writer& writer) {
    while (!writer.broken && writer.left() > 0) {
        const std::size_t most = writer.port.ours ? writer.left() : std::min(writer.left(), careful_block);
        const auto put = ::write(writer.port.handle, writer.bytes.data() + writer.at, most);
        if (put < 0 && is_again(errno)) break;
        if (put < 0) {
            writer.broken = true;
            append_frame(outgoing_, FrameType::control, key.first, broken_message(key.second));
        } else {
            writer.at += static_cast<std::size_t>(put);
            writer.to_credit += static_cast<std::size_t>(put);
            if (writer.port.written != nullptr) *writer.port.written += static_cast<std::uint64_t>(put);
        }
        if (!writer.port.ours) break;  // poll must say again that it will not block
    }
    if (writer.broken) {
        writer.to_credit += writer.left();
        writer.at = writer.bytes.size();
    }
    if (writer.left() == 0 || writer.at > max_data) {
        writer.bytes.erase(0, writer.at);
        writer.at = 0;
    }
    if (writer.to_credit >= first_credit / 4) {
        append_credit(outgoing_, key.first, key.second, static_cast<std::uint32_t>(writer.to_credit));
        writer.to_credit = 0;
    }
}

}  // namespace locald::protocol
