#include "backends/linux/detached/log_printer.hpp"

#include "core/base/time.hpp"
#include "core/host/stream.hpp"

namespace locald::backends {

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
    if (!printing_) {
        printing_ = true;
        lines_ = {};
        if (options_.tail && lines_counted_ > *options_.tail) to_skip_ = lines_counted_ - *options_.tail;
    }
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
    if (!text.empty()) host::write_all(piece.stream == OutputStream::out ? out_ : err_, text);
}

void LogPrinter::tell_lost(std::uint64_t bytes) const {
    host::write_all(err_, "locald: " + std::to_string(bytes) + " bytes of the output are not in the log\n");
}

}  // namespace locald::backends
