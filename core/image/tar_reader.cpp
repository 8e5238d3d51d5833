#include "core/image/tar_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/tar_header.hpp"

namespace locald::image {

namespace {

constexpr std::uint64_t block_size = 512;
constexpr std::uint64_t largest_size = std::numeric_limits<std::int64_t>::max() - 2 * block_size;

std::uint64_t padding_of(std::uint64_t size) { return (block_size - size % block_size) % block_size; }

std::optional<TarType> type_of(char flag) {
    switch (flag) {
        case '\0':
        case '0':
        case '7':  // contiguous
        case 'S':  // old GNU sparse
            return TarType::regular;
        case '1':
            return TarType::hard_link;
        case '2':
            return TarType::symlink;
        case '3':
            return TarType::character;
        case '4':
            return TarType::block;
        case '5':
            return TarType::directory;
        case '6':
            return TarType::fifo;
        default:
            return std::nullopt;
    }
}

std::string shown_flag(char flag) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(flag);
    if (flag >= ' ' && flag <= '~') return std::string("\"") + flag + '"';
    return std::string("0x") + digits[byte >> 4U] + digits[byte & 0xfU];
}

}  // namespace

/// What stands before a member and changes it.
struct TarReader::Extensions {
    std::vector<std::pair<std::string, std::string>> pax;
    std::optional<std::string> name, link;  // GNU
    /// A pax record's last value; nothing when there is none or it is empty, which means: as the header has it.
    std::optional<std::string> get(std::string_view key) const {
        const auto found = std::find_if(pax.rbegin(), pax.rend(), [&](const auto& r) { return r.first == key; });
        if (found == pax.rend() || found->second.empty()) return std::nullopt;
        return found->second;
    }
};

void TarReader::fail(const std::string& why) const {
    throw Error(ErrorKind::corrupt, "read tar at byte " + std::to_string(offset_) + ": " + why);
}

bool TarReader::fill() {
    if (chunk_.empty()) chunk_ = source_.next();
    return !chunk_.empty();
}

std::size_t TarReader::read_some(std::span<std::byte> out) {
    std::size_t got = 0;
    while (got < out.size() && fill()) {
        const std::size_t n = std::min(out.size() - got, chunk_.size());
        std::memcpy(out.data() + got, chunk_.data(), n);
        chunk_ = chunk_.subspan(n);
        got += n;
    }
    offset_ += got;
    return got;
}

bool TarReader::read_block(Block block) {
    const std::size_t got = read_some(block);
    if (got != 0 && got != block.size()) fail("the archive ends within a header");
    return got != 0;
}

void TarReader::skip(std::uint64_t bytes) {
    while (bytes > 0) {
        if (chunk_.empty()) {
            const std::uint64_t passed = source_.skip(bytes);
            offset_ += passed;
            bytes -= passed;
            if (bytes == 0) return;
        }
        if (!fill()) fail("the archive ends within a member");
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, chunk_.size()));
        chunk_ = chunk_.subspan(n);
        offset_ += n;
        bytes -= n;
    }
}

std::span<const std::byte> TarReader::content() {
    if (left_ == 0) return {};
    if (!fill()) fail("the archive ends within a member");
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, chunk_.size()));
    const auto piece = chunk_.first(n);
    chunk_ = chunk_.subspan(n);
    offset_ += n;
    left_ -= n;
    return piece;
}

std::string TarReader::read_text(std::uint64_t size, const char* what) {
    if (size > limits_.most_extension) {
        throw Error(ErrorKind::invalid, "read tar: " + std::string(what) + " of " + std::to_string(size) +
                                            " bytes is longer than " + std::to_string(limits_.most_extension));
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    if (read_some(std::as_writable_bytes(std::span(text))) != text.size()) fail("the archive ends within a header");
    skip(padding_of(size));
    return text;
}

bool TarReader::next(TarEntry& entry) {
    if (ended_) return false;
    skip(std::exchange(left_, 0));
    skip(std::exchange(padding_, 0));
    Extensions extensions;
    std::size_t headers_of_member = 0;
    for (;;) {
        std::array<std::byte, block_size> block{};
        if (!read_block(block)) {
            if (headers_of_member != 0) fail("the archive ends after an extension header");
            ended_ = true;  // without end blocks; other readers take that as well
            return false;
        }
        const TarHeader header(block);
        if (header.all_zero()) {
            if (headers_of_member != 0) fail("an extension header without its member");
            if (read_block(block) && !TarHeader(block).all_zero()) fail("a lone zero block");
            ended_ = true;
            return false;
        }
        if (!header.checksum_fits()) fail("the header's checksum is wrong");
        const auto said_size = header.size();
        if (!said_size || *said_size < 0 || static_cast<std::uint64_t>(*said_size) > largest_size) {
            fail("a header with no valid size");
        }
        const auto size = static_cast<std::uint64_t>(*said_size);
        // Extension headers cost a block each, so an archive of nothing else must have its bound, too.
        if (++headers_of_member > 64) fail("more than 64 extension headers before one member");
        if (++entries_ > limits_.most_entries) {
            throw Error(ErrorKind::invalid, "read tar: more than " + std::to_string(limits_.most_entries) + " entries");
        }
        switch (header.type()) {
            case 'x':
                extensions.pax = parse_pax(read_text(size, "a pax header"));
                continue;
            case 'g':
                read_text(size, "a pax global header");
                --headers_of_member;
                continue;
            case 'V':
                skip(size);
                skip(padding_of(size));
                --headers_of_member;
                continue;
            case 'L':
            case 'K': {
                std::string text = read_text(size, "a long name");
                text.resize(std::min(text.find('\0'), text.size()));
                (header.type() == 'L' ? extensions.name : extensions.link) = std::move(text);
                continue;
            }
            default:
                break;
        }
        const auto type = type_of(header.type());
        if (!type) {
            throw Error(ErrorKind::unsupported, "read tar: " + header.name() + ": entries of type " +
                                                    shown_flag(header.type()) + " are not supported");
        }
        const auto mode = header.mode();
        const auto uid = header.uid();
        const auto gid = header.gid();
        const auto mtime = header.mtime();
        if (!mode || !uid || !gid || !mtime || *uid < 0 || *gid < 0) fail("a header with an invalid number");
        entry = {};
        entry.type = *type;
        entry.name = extensions.name.value_or(header.name());
        entry.link = extensions.link.value_or(header.link());
        entry.mode = static_cast<std::uint32_t>(*mode) & 07777U;
        entry.uid = static_cast<std::uint64_t>(*uid);
        entry.gid = static_cast<std::uint64_t>(*gid);
        entry.mtime = *mtime;
        left_ = size;
        entry.size = size;
        if (entry.type == TarType::character || entry.type == TarType::block) {
            const auto major = header.major();
            const auto minor = header.minor();
            if (!major || !minor || *major < 0 || *minor < 0 || *major > 0xfff || *minor > 0xfffff) {
                fail("a device with invalid numbers");
            }
            entry.major = static_cast<std::uint32_t>(*major);
            entry.minor = static_cast<std::uint32_t>(*minor);
        }
        if (header.type() == 'S') read_old_sparse(block, entry);
        apply(extensions, entry);
        if (header.type() == '\0' && entry.name.ends_with('/')) entry.type = TarType::directory;
        // Only files have content; what other writers put into the size of a link or directory is not there.
        if (entry.type != TarType::regular) entry.size = left_ = 0;
        if (entry.sparse) check_ranges(entry);
        if (entry.name.empty()) fail("an entry without a name");
        if (entry.name.size() > limits_.longest_name || entry.link.size() > limits_.longest_name) {
            throw Error(ErrorKind::invalid,
                        "read tar: a name of more than " + std::to_string(limits_.longest_name) + " bytes");
        }
        return true;
    }
}

void TarReader::apply(const Extensions& extensions, TarEntry& entry) {
    const auto number = [&](std::string_view key, std::uint64_t& value) {
        const auto text = extensions.get(key);
        if (!text) return;
        const auto parsed = parse_u64(*text);
        if (!parsed || *parsed > largest_size) fail("pax record " + std::string(key) + " is no valid number");
        value = *parsed;
    };
    const auto name = [&](std::string_view key, std::string& value) {
        auto text = extensions.get(key);
        if (!text) return;
        if (text->find('\0') != std::string::npos) fail("pax record " + std::string(key) + " has a NUL byte");
        value = std::move(*text);
    };
    name("path", entry.name);
    name("linkpath", entry.link);
    name("GNU.sparse.name", entry.name);
    number("size", left_);
    if (!entry.sparse) entry.size = left_;
    padding_ = entry.type == TarType::regular ? padding_of(left_) : 0;
    number("uid", entry.uid);
    number("gid", entry.gid);
    if (const auto text = extensions.get("mtime")) {
        const auto time = parse_pax_time(*text);
        if (!time) fail("pax record mtime is no valid time");
        entry.mtime = time->first;
        entry.mtime_nsec = time->second;
    }
    constexpr std::string_view xattr_prefix = "SCHILY.xattr.";
    for (const auto& [key, value] : extensions.pax) {
        if (key.starts_with(xattr_prefix) && key.size() > xattr_prefix.size() && key.find('\0') == std::string::npos) {
            entry.xattrs[key.substr(xattr_prefix.size())] = value;
        }
    }
    if (entry.type != TarType::regular) return;

    // GNU sparse: 1.0 has its map before the data, 0.1 in one record, 0.0 in pairs of records.
    if (extensions.get("GNU.sparse.major") == "1" && extensions.get("GNU.sparse.minor") == "0") {
        number("GNU.sparse.realsize", entry.size);
        read_sparse_map(entry);
    } else if (const auto map = extensions.get("GNU.sparse.map")) {
        number("GNU.sparse.size", entry.size);
        const auto numbers = split(*map, ',');
        if (numbers.size() % 2 != 0) fail("a sparse map of odd length");
        for (std::size_t i = 0; i < numbers.size(); i += 2) {
            const auto at = parse_u64(numbers[i]);
            const auto length = parse_u64(numbers[i + 1]);
            if (!at || !length) fail("a sparse map with an invalid number");
            entry.ranges.push_back({*at, *length});
        }
        entry.sparse = true;
    } else if (extensions.get("GNU.sparse.size")) {
        number("GNU.sparse.size", entry.size);
        std::uint64_t offset = 0;
        bool have_offset = false;
        for (const auto& [key, value] : extensions.pax) {
            if (key != "GNU.sparse.offset" && key != "GNU.sparse.numbytes") continue;
            const auto parsed = parse_u64(value);
            if (!parsed) fail("a sparse map with an invalid number");
            if (key == "GNU.sparse.offset") {
                offset = *parsed;
                have_offset = true;
                continue;
            }
            if (!have_offset) fail("a sparse map whose length has no offset");
            entry.ranges.push_back({offset, *parsed});
            have_offset = false;
        }
        entry.sparse = true;
    } else if (extensions.get("GNU.sparse.major")) {
        throw Error(ErrorKind::unsupported, "read tar: " + entry.name + ": a sparse file of an unknown version");
    }
}

void TarReader::read_old_sparse(std::span<const std::byte, 512> block, TarEntry& entry) {
    const auto take = [&](const TarHeader& header, std::size_t at, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i, at += 24) {
            if (header.byte_at(at) == '\0') return;
            const auto offset = header.number_at(at, 12);
            const auto length = header.number_at(at + 12, 12);
            if (!offset || !length || *offset < 0 || *length < 0) fail("a sparse map with an invalid number");
            entry.ranges.push_back({static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*length)});
        }
    };
    const TarHeader first(block);
    const auto size = first.number_at(483, 12);
    if (!size || *size < 0) fail("a sparse file with no valid size");
    entry.size = static_cast<std::uint64_t>(*size);
    entry.sparse = true;
    take(first, 386, 4);
    bool more = first.byte_at(482) != '\0';
    std::array<std::byte, block_size> extension{};
    for (std::size_t bytes = 0; more; bytes += block_size) {
        if (bytes > limits_.most_extension) throw Error(ErrorKind::invalid, "read tar: a sparse map without an end");
        if (!read_block(extension)) fail("the archive ends within a sparse map");
        const TarHeader header(extension);
        take(header, 0, 21);
        more = header.byte_at(504) != '\0';
    }
}

void TarReader::read_sparse_map(TarEntry& entry) {
    // `count\n` then count × `offset\nlength\n`, filled up to whole blocks; all of it counts as stored bytes.
    std::string text;
    std::size_t at = 0;
    const auto number = [&]() -> std::uint64_t {
        for (;;) {
            const auto end = text.find('\n', at);
            if (end != std::string::npos) {
                const auto value = parse_u64(std::string_view(text).substr(at, end - at));
                if (!value || *value > largest_size) fail("a sparse map with an invalid number");
                at = end + 1;
                return *value;
            }
            if (text.size() - at > 32) fail("a sparse map with an invalid number");
            if (text.size() >= limits_.most_extension) {
                throw Error(ErrorKind::invalid,
                            "read tar: a sparse map of more than " + std::to_string(limits_.most_extension) + " bytes");
            }
            if (left_ < block_size) fail("a sparse map longer than its file");
            std::array<std::byte, block_size> block{};
            if (!read_block(block)) fail("the archive ends within a sparse map");
            left_ -= block_size;
            text.append(reinterpret_cast<const char*>(block.data()), block.size());
        }
    };
    const std::uint64_t count = number();
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t offset = number();
        entry.ranges.push_back({offset, number()});
    }
    entry.sparse = true;
}

void TarReader::check_ranges(const TarEntry& entry) const {
    std::uint64_t end = 0;
    std::uint64_t stored = 0;
    for (const auto& range : entry.ranges) {
        if (range.offset < end || range.length > largest_size || range.offset > entry.size ||
            range.length > entry.size - range.offset) {
            fail("a sparse map whose ranges overlap or leave the file");
        }
        end = range.offset + range.length;
        stored += range.length;
    }
    if (stored != left_) fail("a sparse map that does not fit the stored bytes");
}

}  // namespace locald::image
