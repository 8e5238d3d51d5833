#include "backends/linux/detached/log_printer.hpp"

#include <algorithm>
#include <string>

#include "core/base/time.hpp"
#include "core/host/stream.hpp"

namespace locald::backends {

LogPrinter::LogPrinter(const runtime::LogOptions& options, int out, int err)
    : options_(options), out_(out), err_(err) {}

void LogPrinter::begin() {
    lines_ = {};
    if (options_.resume) {
        const auto& place = *options_.resume;
        had_ = {place.out, place.err};
        to_skip_ = place.lines_to_skip;
        for (std::size_t i = 0; i < lines_.size(); ++i) {
            lines_.at(i) = {(place.lines >> (2 * i) & 1U) != 0, (place.lines >> (2 * i + 1) & 1U) != 0};
        }
    } else if (options_.tail && lines_counted_ > *options_.tail) {
        to_skip_ = lines_counted_ - *options_.tail;
    }
}

std::optional<runtime::OutputPlace> LogPrinter::place(std::uint64_t position) const {
    if (had_[0] > 0 || had_[1] > 0) return std::nullopt;
    runtime::OutputPlace place{position, written_[0], written_[1], to_skip_, 0};
    for (std::size_t i = 0; i < lines_.size(); ++i) {
        const auto& line = lines_.at(i);
        place.lines |= ((line.open ? 1U : 0U) | (line.shown ? 2U : 0U)) << (2 * i);
    }
    return place;
}

void LogPrinter::write(std::size_t stream, std::string_view text) {
    const auto passed_over = std::min<std::uint64_t>(had_.at(stream), text.size());
    had_.at(stream) -= passed_over;
    text.remove_prefix(passed_over);
    if (text.empty()) return;
    host::write_all(stream == 0 ? out_ : err_, text);
    written_.at(stream) += text.size();
}

bool LogPrinter::is_in_time(std::int64_t time) const {
    return (!options_.since || time >= *options_.since) && (!options_.until || time <= *options_.until);
}

void LogPrinter::count(const LogPiece& piece) {
    auto& line = line_of(piece.stream);
    for (const char c : piece.bytes) {
        if (!line.open && is_in_time(piece.time)) ++lines_counted_;
        line.open = c != '\n';
    }
}

bool LogPrinter::begins_shown(std::int64_t time) {
    if (!is_in_time(time)) return false;
    if (to_skip_ == 0) return true;
    --to_skip_;
    return false;
}

void LogPrinter::print(const LogPiece& piece) {
    // What was rotated away is no gap to those who want the last lines.
    if (piece.lost > 0 && to_skip_ == 0 && is_in_time(piece.time)) tell_lost(piece.lost);
    auto& line = line_of(piece.stream);
    std::string text;
    std::string_view rest = piece.bytes;
    while (!rest.empty()) {
        if (!line.open) {
            line.shown = begins_shown(piece.time);
            if (line.shown && options_.timestamps) text += rfc3339(piece.time) + " ";
        }
        const auto end = rest.find('\n');
        const auto part = rest.substr(0, end == std::string_view::npos ? end : end + 1);
        if (line.shown) text += part;
        line.open = end == std::string_view::npos;
        rest.remove_prefix(part.size());
    }
    write(piece.stream == OutputStream::out ? 0 : 1, text);
}

void LogPrinter::tell_lost(std::uint64_t bytes) {
    // What the reader had of them is not missing.
    bytes -= std::min(bytes, had_[0] + had_[1]);
    had_ = {};
    if (bytes > 0) write(1, "locald: " + std::to_string(bytes) + " bytes of the output are not in the log\n");
}

}  // namespace locald::backends
