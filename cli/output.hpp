#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace locald::cli {

/// Writes data to stdout; a pipe that nobody reads ends this process as SIGPIPE does. @throws Error when it cannot be
/// written (a full disk)
void print(std::string_view text);
/// Says on stdout how far a work is that goes on whether anybody reads it or not.
void print_of_work(std::string_view text);

/// Writes one line for people to stderr: `locald: <text>`.
void note(std::string_view text);

/// `text` without line ends and control characters, which a registry or an image could use to play with a terminal.
std::string printable(std::string_view text);

/// The columns that UTF-8 text takes on a terminal, near enough: its characters.
std::size_t text_columns(std::string_view text);

/// Columns of text: upper case headings, two blanks between.
class Table {
public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> row);
    std::string str() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

/// `7.8 MB`; powers of 1000, as registries and docker count.
std::string human_size(std::uint64_t bytes);

/// An RFC 3339 time as `3 weeks ago`, seen from `now` (seconds since 1970); the text itself when it is no time.
std::string human_age(std::string_view created, std::int64_t now);

/// `sha256:…` as its first 12 hex digits.
std::string short_id(std::string_view digest);

}  // namespace locald::cli
