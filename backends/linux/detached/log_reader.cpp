#include "backends/linux/detached/log_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

// Room for any record, several times.
constexpr std::size_t block = 4 * piece_most;

}  // namespace

bool LogReader::open_first() {
    std::optional<std::uint64_t> chosen;
    for (const auto start : list_segments(directory_)) {
        if (!chosen || start <= position_) chosen = start;
    }
    if (!chosen) return false;
    segment_ = *chosen;
    file_ = posix::open_if_exists(directory_ + "/" + segment_name(segment_), O_RDONLY | O_NOFOLLOW);
    return static_cast<bool>(file_);
}

bool LogReader::open_next() {
    for (const auto start : list_segments(directory_)) {
        if (start <= segment_) continue;
        auto file = posix::open_if_exists(directory_ + "/" + segment_name(start), O_RDONLY | O_NOFOLLOW);
        if (!file) continue;  // gone meanwhile: its successor is there
        file_ = std::move(file);
        segment_ = start;
        file_at_ = 0;
        buffer_.clear();
        at_ = 0;
        return true;
    }
    return false;
}

/// Reads again from where the next record begins: a record that was not whole may have been taken back.
void LogReader::fill() {
    file_at_ += static_cast<off_t>(at_);
    at_ = 0;
    buffer_.resize(block);
    ssize_t got = 0;
    do {
        got = ::pread(file_.get(), buffer_.data(), buffer_.size(), file_at_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw_errno(errno, "read the log ", directory_, "/", segment_name(segment_));
    buffer_.resize(static_cast<std::size_t>(got));
}

std::optional<LogPiece> LogReader::parse() {
    for (;;) {
        auto record = parse_log_record(std::string_view(buffer_).substr(at_));
        if (!record) return std::nullopt;
        at_ += record->length;
        auto& piece = record->piece;
        const std::uint64_t end = piece.offset + piece.bytes.size();
        if (end <= position_) continue;
        if (piece.offset < position_) {
            piece.bytes.erase(0, position_ - piece.offset);
            piece.offset = position_;
        }
        piece.lost = piece.offset - position_;
        position_ = end;
        return std::move(piece);
    }
}

std::optional<LogPiece> LogReader::read_on() {
    auto piece = parse();
    // For as long as records were passed over: those in front of our place may be more than one buffer holds.
    for (bool more = true; !piece && more; more = at_ > 0) {
        fill();
        piece = parse();
    }
    return piece;
}

std::optional<LogPiece> LogReader::next() {
    if (!file_ && !open_first()) return std::nullopt;
    for (;;) {
        if (auto piece = read_on()) return piece;
        // Asked for first: what the writer put behind our last look is in this file then, and is whole.
        const auto segments = list_segments(directory_);
        if (segments.empty() || segments.back() <= segment_) return std::nullopt;
        if (auto piece = read_on()) return piece;
        if (!open_next()) return std::nullopt;
    }
}

}  // namespace locald::backends
