#pragma once

#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/protocol/frame.hpp"
#include "core/base/error.hpp"

namespace locald::protocol {

/// What a multiplexer tells whoever drives it, from the thread of run(), one at a time.
struct MultiplexerEvents {
    /// A control frame.
    std::function<void(std::uint32_t stream, const nlohmann::json& message)> message;
    /// A port has ended: a reader saw the end of its handle, or a writer wrote all that came before the end.
    std::function<void(std::uint32_t stream, FrameType type)> closed;
    /// The link is gone, Error(lost), or the other side sent what it may not, Error(corrupt). Bytes that came before
    /// are still written to their ports; nothing else comes.
    std::function<void(const Error& why)> lost;
};

/// A handle that a multiplexer uses.
struct Port {
    int handle = -1;
    bool ours = true;    ///< closed at the end and used without blocking; else somebody else's (a terminal, stdout)
    bool stays = false;  ///< a terminal's master: its end comes only with finish_reading()
    std::atomic<std::uint64_t>* written = nullptr;  ///< counts what a writer wrote; there for as long as the port is
};

/// Carries messages and the bytes of many handles over one byte stream, each direction of each stream below its own
/// credit. Every call but run() may come from any thread.
class Multiplexer {
public:
    /// Takes both handles, which may be one and the same number.
    Multiplexer(int link_in, int link_out);
    ~Multiplexer();
    Multiplexer(const Multiplexer&) = delete;
    Multiplexer& operator=(const Multiplexer&) = delete;

    /// Works until stop().
    void run(const MultiplexerEvents& events);
    /// All that was sent before still goes out, for as long as the other side takes it within `linger`.
    void stop(std::chrono::milliseconds linger = std::chrono::milliseconds(0));

    /// Once the link is lost this does nothing. @throws Error(invalid) when it is larger than a frame may be
    void send(std::uint32_t stream, const nlohmann::json& message);
    /// Sends what comes from the handle; its end as well.
    void read_from(std::uint32_t stream, FrameType type, Port port);
    /// Writes what comes for it to the handle, and closes that after the other side's end.
    void write_to(std::uint32_t stream, FrameType type, Port port);
    /// Whoever filled the handles of a stream is gone: what is still in them is sent, then their end, also when
    /// something keeps them open and says nothing for `silence`.
    void finish_reading(std::uint32_t stream, std::chrono::milliseconds silence);
    /// Nobody wants the bytes of a stream's readers any more: they are read on, so that whoever writes can end in
    /// peace.
    void discard(std::uint32_t stream);
    /// Closes the ports of a stream without a word, and takes no more for it.
    void forget(std::uint32_t stream);
    /// When nothing comes from the other side for this long, the link is lost. Both sides must say something more
    /// often.
    void expect_word_every(std::chrono::milliseconds most);

private:
    using Clock = std::chrono::steady_clock;
    using Key = std::pair<std::uint32_t, FrameType>;

    struct Reader {
        Port port;
        std::size_t credit = first_credit;
        std::optional<std::chrono::milliseconds> silence;  ///< finish_reading()
        Clock::time_point until{};                         ///< when that is over
        Clock::time_point rests_until{};
        bool at_end = false;
        bool unwanted = false;  ///< discard()
    };
    struct Writer {
        Port port;
        std::string bytes;
        std::size_t at = 0;         ///< of `bytes`, what is written
        std::size_t to_credit = 0;  ///< written, and not yet told
        bool ends = false;          ///< the other side's end came
        bool broken = false;        ///< nobody reads here any more: what comes is dropped
        std::size_t left() const noexcept { return bytes.size() - at; }
    };
    struct Message {
        std::uint32_t stream = 0;
        nlohmann::json content;
    };
    /// What one round brought, to be told when nothing is locked.
    struct News {
        std::deque<Message> messages;
        std::vector<Key> closed;
        std::optional<Error> lost;
    };
    struct Poll;

    static void tell(const MultiplexerEvents& events, News& news);
    bool step(News& news);
    /// What to wait for. False when there is nothing any more.
    bool prepare(Poll& poll);
    void use_ports(const Poll& poll);
    void close_ended(News& news);
    void read_link(News& news);
    void take(const Frame& frame, News& news);
    bool take_own(const Frame& frame);
    void take_bytes(const Frame& frame);
    void flush_link();
    void read_port(const Key& key, Reader& reader);
    void write_port(const Key& key, Writer& writer);
    void lose(Error why, News& news);
    bool is_silent_too_long() const { return !lost_ && word_every_ && Clock::now() >= heard_ + *word_every_; }
    void close_port(const Port& port);
    void wake() noexcept;
    void break_silence(Reader& reader) const;
    bool can_send(const Reader& reader) const noexcept { return reader.credit > 0 && !link_is_full(); }
    bool link_is_full() const noexcept { return outgoing_.size() - sent_ > link_most; }

    static constexpr std::size_t link_most = 1U << 20U;

    int link_in_, link_out_;
    int wake_read_ = -1, wake_write_ = -1;
    FrameReader incoming_;

    mutable std::mutex mutex_;
    std::string outgoing_;
    std::size_t sent_ = 0;
    std::map<Key, Reader> readers_;
    std::map<Key, Writer> writers_;
    std::optional<Clock::time_point> stop_at_;
    bool lost_ = false;
    std::optional<std::chrono::milliseconds> word_every_;
    Clock::time_point heard_ = Clock::now();
};

}  // namespace locald::protocol
