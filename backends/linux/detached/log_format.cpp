#include "backends/linux/detached/log_format.hpp"

#include "core/base/text.hpp"
#include "core/posix/fs.hpp"

namespace locald::backends {

namespace {

constexpr std::string_view prefix = "log.";
constexpr std::size_t digits = 20;
// Two letters, three numbers and their separators.
constexpr std::size_t longest_header = 80;

}  // namespace

void append_log_record(std::string& out, OutputStream stream, std::int64_t time, std::uint64_t offset,
                       std::string_view bytes) {
    out.append({static_cast<char>(stream), ' '});
    out.append(std::to_string(time)).append(1, ' ');
    out.append(std::to_string(offset)).append(1, ' ');
    out.append(std::to_string(bytes.size())).append(1, '\n');
    out.append(bytes).append(1, '\n');
}

std::optional<ParsedRecord> parse_log_record(std::string_view text) {
    const auto end = text.substr(0, longest_header).find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto words = split(text.substr(0, end), ' ');
    if (words.size() != 4 || (words[0] != "o" && words[0] != "e")) return std::nullopt;
    const auto time = parse_u64(words[1]);
    const auto offset = parse_u64(words[2]);
    const auto size = parse_u64(words[3]);
    if (!time || !offset || !size || *size == 0 || *size > piece_most) return std::nullopt;
    const std::size_t begin = end + 1;
    if (text.size() < begin + *size + 1 || text[begin + *size] != '\n') return std::nullopt;
    ParsedRecord record;
    record.piece.stream = static_cast<OutputStream>(words[0][0]);
    record.piece.time = static_cast<std::int64_t>(*time);
    record.piece.offset = *offset;
    record.piece.bytes = text.substr(begin, *size);
    record.length = begin + *size + 1;
    return record;
}

std::string segment_name(std::uint64_t offset) {
    const std::string number = std::to_string(offset);
    return std::string(prefix) + std::string(digits - number.size(), '0') + number;
}

std::vector<std::uint64_t> list_segments(const std::string& directory) {
    std::vector<std::uint64_t> found;
    for (const auto& file : posix::names_in(directory)) {
        const std::string_view name = file;
        if (!name.starts_with(prefix) || name.size() != prefix.size() + digits) continue;
        if (const auto offset = parse_u64(name.substr(prefix.size()))) found.push_back(*offset);
    }
    return found;
}

}  // namespace locald::backends
