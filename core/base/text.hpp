#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald {

/// `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the result is always valid JSON.
std::string json_quote(std::string_view text);
/// The same at the end of `out`. False when bytes were replaced.
bool append_json_quoted(std::string& out, std::string_view text);
/// How many bytes at the front of `text` mean themselves in a JSON string: ASCII but quotes, backslashes and control
/// characters. Looks at eight at a time.
std::size_t plain_json_length(std::string_view text) noexcept;
/// The length of the valid UTF-8 sequence at the front of `text`, which is not empty; 0 when there is none.
std::size_t utf8_length(std::string_view text) noexcept;

/// `text` cut at every `separator`; empty parts stay, an empty text gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);

/// `text` without blanks, tabs and line ends at both ends.
std::string_view trim(std::string_view text) noexcept;

/// `text` with `by` for each control character that is not in `kept`: those below the blank, DEL, and those that are
/// two bytes in UTF-8 (C1), which some terminals obey.
std::string without_controls(std::string_view text, char by, std::string_view kept = {});

/// An address without what stands behind a question mark: where it leads, which is what a reader of an error wants.
std::string without_query(std::string_view address);

/// `path` by its text alone: one leading slash, no `.`, no empty parts, and `..` taken back (it stops at `/`).
std::string clean_path(std::string_view path);

/// All of `text` as a decimal number without sign or blanks; nothing when it is anything else or does not fit.
std::optional<std::uint64_t> parse_u64(std::string_view text) noexcept;

/// A container id: `[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}`. Checked before an id becomes part of any path.
bool is_container_id(std::string_view text) noexcept;

/// Throws Error(invalid) that names `id` and the grammar unless is_container_id(id).
void check_container_id(std::string_view id);

}  // namespace locald
