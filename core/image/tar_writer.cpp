#include "core/image/tar_writer.hpp"

#include <array>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::image {

namespace {

constexpr std::size_t block_size = 512;
using Block = std::array<char, block_size>;

/// An octal number with its NUL in a field of `width` bytes.
void put_number(Block& block, std::size_t at, std::size_t width, std::uint64_t value) {
    for (std::size_t i = width - 1; i > 0; --i) {
        block[at + i - 1] = static_cast<char>('0' + static_cast<int>(value & 7U));
        value >>= 3U;
    }
    if (value == 0) return;
    throw Error(ErrorKind::unsupported, "write tar: a number that needs more than " + std::to_string(width) + " bytes");
}

/// 12 bytes hold 8 GiB in octal; from there on base 256, which every reader of today takes.
void put_size(Block& block, std::uint64_t value) {
    constexpr std::size_t at = 124;
    constexpr std::size_t width = 12;
    if (value < (std::uint64_t{1} << 33U)) {
        put_number(block, at, width, value);
        return;
    }
    block[at] = static_cast<char>(0x80);
    for (std::size_t i = width - 1; i > 0; --i) {
        block[at + i] = static_cast<char>(value & 0xffU);
        value >>= 8U;
    }
}

}  // namespace

void TarWriter::header(const std::string& name, char type, std::uint64_t size, unsigned mode) {
    constexpr std::size_t longest = 100;
    if (name.size() > longest) throw Error(ErrorKind::unsupported, "write tar: name " + name + " is too long");
    Block block{};
    std::memcpy(block.data(), name.data(), name.size());
    put_number(block, 100, 8, mode);
    put_number(block, 108, 8, 0);
    put_number(block, 116, 8, 0);
    put_size(block, size);
    put_number(block, 136, 12, 0);
    std::memset(block.data() + 148, ' ', 8);
    block[156] = type;
    std::memcpy(block.data() + 257, "ustar\00000", 8);
    std::uint64_t sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put_number(block, 148, 7, sum);
    sink_(std::as_bytes(std::span(block)));
}

void TarWriter::directory(const std::string& name) { header(name + "/", '5', 0, 0755); }

void TarWriter::file(const std::string& name, std::string_view content_of_it) {
    begin_file(name, content_of_it.size());
    content(std::as_bytes(std::span(content_of_it)));
    end_file();
}

void TarWriter::begin_file(const std::string& name, std::uint64_t size) {
    header(name, '0', size, 0644);
    size_ = size;
    written_ = 0;
}

void TarWriter::content(std::span<const std::byte> bytes) {
    written_ += bytes.size();
    if (written_ > size_) throw Error(ErrorKind::corrupt, "write tar: a file became longer while it was read");
    if (!bytes.empty()) sink_(bytes);
}

void TarWriter::end_file() {
    if (written_ != size_) throw Error(ErrorKind::corrupt, "write tar: a file became shorter while it was read");
    const Block zeros{};
    if (size_ % block_size != 0) {
        sink_(std::as_bytes(std::span(zeros)).first(block_size - static_cast<std::size_t>(size_ % block_size)));
    }
}

void TarWriter::finish() {
    const Block zeros{};
    sink_(std::as_bytes(std::span(zeros)));
    sink_(std::as_bytes(std::span(zeros)));
}

}  // namespace locald::image
