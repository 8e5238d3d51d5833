#include "cli/progress.hpp"

#include <unistd.h>

#include "cli/output.hpp"
#include "core/host/terminal.hpp"

namespace locald::cli {

namespace {

void write_stderr(const std::string& text) {
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // progress is nothing to fail for
}

}  // namespace

ProgressLine::ProgressLine(bool quiet) : quiet_(quiet), terminal_(host::is_terminal(STDERR_FILENO)) {}

ProgressLine::~ProgressLine() { clear(); }

ProgressSink ProgressLine::sink() {
    if (quiet_) return {};
    return [this](const Progress& progress) { report(progress); };
}

void ProgressLine::clear() {
    const std::lock_guard lock(mutex_);
    if (shown_) write_stderr("\r\033[K");
    shown_ = false;
}

void ProgressLine::report(const Progress& progress) {
    const std::lock_guard lock(mutex_);
    if (!terminal_) {
        if (!progress.finished) return;
        const std::string size = progress.done == 0 ? "" : " (" + human_size(progress.done) + ")";
        note(progress.step + " " + progress.object + size);
        return;
    }
    Item& item = items_[{progress.step, progress.object}];
    item = {progress.done, progress.total, progress.finished};
    constexpr auto pause = std::chrono::milliseconds(100);
    const auto now = Clock::now();
    if (now - last_ < pause) return;
    last_ = now;
    shown_ = true;
    write_stderr("\r\033[K" + line());
}

/// `download 2 of 5, 12 MB of 45 MB · unpack 1 of 2`, cut to the terminal's width so that it stays one line.
std::string ProgressLine::line() const {
    struct Sum {
        std::uint64_t done = 0, total = 0;
        std::size_t finished = 0, all = 0;
        std::string object;
    };
    std::map<std::string, Sum> sums;
    for (const auto& [key, item] : items_) {
        Sum& sum = sums[key.first];
        sum.done += item.done;
        sum.total += item.total;
        sum.finished += item.finished ? 1 : 0;
        ++sum.all;
        sum.object = key.second;
    }
    std::string line;
    for (const auto& [step, sum] : sums) {
        if (!line.empty()) line += "; ";
        line += step;
        line += sum.all == 1 ? " " + printable(sum.object)
                             : " " + std::to_string(sum.finished) + " of " + std::to_string(sum.all);
        if (sum.done != 0) line += ", " + human_size(sum.done);
        if (sum.total > sum.done) line += " of " + human_size(sum.total);
    }
    const std::size_t width = host::terminal_size(STDERR_FILENO).columns;
    if (line.size() >= width) line.resize(width - 1);
    return line;
}

}  // namespace locald::cli
