#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace locald::image {

/// The fields of one 512 byte header. @see tar(5), POSIX pax(1) "ustar Interchange Format"
class TarHeader {
public:
    explicit TarHeader(std::span<const std::byte, 512> block)
        : text_(reinterpret_cast<const char*>(block.data()), block.size()) {}

    bool all_zero() const noexcept;
    /// The sum over all bytes with the sum's own field as blanks; old writers summed signed bytes.
    bool checksum_fits() const noexcept;
    char type() const noexcept { return text_[156]; }
    /// name with the prefix that ustar and star have, GNU has not.
    std::string name() const;
    std::string link() const { return text_at(157, 100); }
    std::optional<std::int64_t> mode() const { return number_at(100, 8); }
    std::optional<std::int64_t> uid() const { return number_at(108, 8); }
    std::optional<std::int64_t> gid() const { return number_at(116, 8); }
    std::optional<std::int64_t> size() const { return number_at(124, 12); }
    std::optional<std::int64_t> mtime() const { return number_at(136, 12); }
    std::optional<std::int64_t> major() const { return number_at(329, 8); }
    std::optional<std::int64_t> minor() const { return number_at(337, 8); }

    /// A text field up to its NUL.
    std::string text_at(std::size_t at, std::size_t length) const;
    /// An octal number between blanks and NULs, or base 256; nothing when it is neither or does not fit.
    std::optional<std::int64_t> number_at(std::size_t at, std::size_t length) const;
    char byte_at(std::size_t at) const noexcept { return text_[at]; }

private:
    std::string_view text_;
};

/// The records of a pax extended header in their order. @throws Error(corrupt)
std::vector<std::pair<std::string, std::string>> parse_pax(std::string_view text);

/// `[-]seconds[.fraction]` as seconds (rounded down) and nanoseconds.
std::optional<std::pair<std::int64_t, std::uint32_t>> parse_pax_time(std::string_view text);

}  // namespace locald::image
