#include "cli/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/stream.hpp"

namespace locald::cli {

void print(std::string_view text) {
    try {
        host::write_all(STDOUT_FILENO, text);
    } catch (Error& e) {
        if (e.os_errno() == EPIPE) {  // `locald image ls | head -1`: as every other program ends there
            std::signal(SIGPIPE, SIG_DFL);
            std::raise(SIGPIPE);
            std::_Exit(128 + SIGPIPE);
        }
        e.add_context("write to stdout");
        throw;
    }
}

void print_of_work(std::string_view text) {
    try {
        host::write_all(STDOUT_FILENO, text);
    } catch (const Error&) {
        return;
    }
}

void note(std::string_view text) {
    const std::string line = "locald: " + printable(text) + "\n";
    // Nobody is left to hear that stderr is closed.
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

std::string printable(std::string_view text) { return without_controls(text, ' '); }

std::size_t text_columns(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

Table::Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }

void Table::add(std::vector<std::string> row) {
    for (auto& cell : row) cell = printable(cell);
    rows_.push_back(std::move(row));
}

std::string Table::str() const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_columns(row[i]));
    }
    std::string out;
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            out += row[i];
            if (i + 1 < row.size()) out.append(widths[i] - text_columns(row[i]) + 2, ' ');
        }
        out += '\n';
    }
    return out;
}

std::string human_size(std::uint64_t bytes) {
    static constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (size >= 999.95 && unit + 1 < units.size()) {
        size /= 1000;
        ++unit;
    }
    std::array<char, 32> text{};
    const bool whole = unit == 0 || size >= 99.95;
    std::snprintf(text.data(), text.size(), whole ? "%.0f %s" : "%.1f %s", size, units.at(unit));
    return text.data();
}

std::string human_age(std::string_view created, std::int64_t now) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    // NOLINTNEXTLINE(cert-err34-c): the widths keep every number small, and the count says whether all were there
    if (std::sscanf(std::string(created).c_str(), "%4d-%2u-%2uT%2d:%2d:%2d", &year, &month, &day, &hour, &minute,
                    &second) != 6) {
        return std::string(created);
    }
    const std::chrono::sys_days date{std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day)};
    const std::int64_t then = std::int64_t{date.time_since_epoch().count()} * 86'400 + std::int64_t{hour} * 3'600 +
                              std::int64_t{minute} * 60 + second;
    struct Step {
        std::int64_t seconds;
        const char* name;
    };
    static constexpr std::array steps{Step{31'557'600, "year"}, Step{2'629'800, "month"}, Step{604'800, "week"},
                                      Step{86'400, "day"},      Step{3'600, "hour"},      Step{60, "minute"}};
    const std::int64_t age = now - then;
    for (const auto& step : steps) {
        const std::int64_t count = age / step.seconds;
        // "2 weeks" says more than "1 month" does; docker changes over at the second one as well.
        if (count >= 2 || (count == 1 && step.seconds <= 86'400)) {
            return std::to_string(count) + " " + step.name + (count == 1 ? "" : "s") + " ago";
        }
    }
    return "just now";
}

std::string short_id(std::string_view digest) {
    const auto colon = digest.find(':');
    if (colon != std::string_view::npos) digest.remove_prefix(colon + 1);
    return std::string(digest.substr(0, 12));
}

}  // namespace locald::cli
