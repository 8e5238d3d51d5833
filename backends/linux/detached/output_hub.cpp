#include "backends/linux/detached/output_hub.hpp"

#include <algorithm>

#include "core/base/time.hpp"

namespace locald::backends {

namespace {

constexpr std::size_t memory_most = 1U << 20U;

}  // namespace

void OutputHub::append(OutputStream stream, std::string_view bytes) {
    const auto time = now_nanoseconds();
    // Only this thread changes the end. Before it is told: what is not in memory any more is in the log.
    log_.append(stream, time, end_, bytes);
    const std::lock_guard lock(mutex_);
    memory_.push_back({stream, time, end_, std::string(bytes), 0});
    in_memory_ += bytes.size();
    end_ += bytes.size();
    for (; in_memory_ > memory_most; memory_.pop_front()) in_memory_ -= memory_.front().bytes.size();
    changed_.notify_all();
}

void OutputHub::finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
}

std::uint64_t OutputHub::end() const {
    const std::lock_guard lock(mutex_);
    return end_;
}

void OutputHub::Follower::stop() {
    const std::lock_guard lock(hub_.mutex_);
    stopped_ = true;
    hub_.changed_.notify_all();
}

std::optional<LogPiece> OutputHub::Follower::from_log(std::uint64_t memory_begins) {
    if (!reader_) reader_ = std::make_unique<LogReader>(hub_.directory_, position_);
    auto piece = reader_->next();
    if (piece && piece->offset < memory_begins) {
        position_ = piece->offset + piece->bytes.size();
        return piece;
    }
    // Neither there: the disk was full, or the segment is gone.
    reader_.reset();
    lost_ += memory_begins - position_;
    position_ = memory_begins;
    return std::nullopt;
}

std::optional<LogPiece> OutputHub::Follower::next() {
    for (;;) {
        std::uint64_t memory_begins = 0;
        {
            std::unique_lock lock(hub_.mutex_);
            hub_.changed_.wait(lock, [&] { return stopped_ || hub_.finished_ || position_ < hub_.end_; });
            if (stopped_ || position_ >= hub_.end_) return std::nullopt;
            const auto& memory = hub_.memory_;
            memory_begins = memory.front().offset;
            if (position_ >= memory_begins) {
                reader_.reset();
                const auto after = std::upper_bound(
                    memory.begin(), memory.end(), position_,
                    [](std::uint64_t position, const LogPiece& piece) { return position < piece.offset; });
                LogPiece piece = *std::prev(after);
                piece.bytes.erase(0, position_ - piece.offset);
                piece.offset = position_;
                piece.lost = std::exchange(lost_, 0);
                position_ += piece.bytes.size();
                return piece;
            }
        }
        if (auto piece = from_log(memory_begins)) return piece;
    }
}

}  // namespace locald::backends
