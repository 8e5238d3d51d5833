#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/image/byte_stream.hpp"

namespace locald::image {

enum class TarType { regular, hard_link, symlink, character, block, directory, fifo };

/// Stored bytes of a sparse file that stand at `offset`. Bytes.
struct SparseRange {
    std::uint64_t offset = 0, length = 0;
    bool operator==(const SparseRange&) const = default;
};

/// One member of an archive with all extensions applied. Names are bytes as they stand in the archive, not paths to
/// trust.
struct TarEntry {
    TarType type = TarType::regular;
    std::string name;
    std::string link;        ///< of symlink and hard_link
    std::uint32_t mode = 0;  ///< permission bits with set-id and sticky, 0..07777
    std::uint64_t uid = 0, gid = 0;
    std::uint64_t size = 0;  ///< of the file; for a sparse one more than is stored
    std::int64_t mtime = 0;  ///< seconds
    std::uint32_t mtime_nsec = 0;
    std::uint32_t major = 0, minor = 0;         ///< of character and block
    std::map<std::string, std::string> xattrs;  ///< pax SCHILY.xattr.*
    bool sparse = false;
    std::vector<SparseRange> ranges;  ///< of a sparse file, rising, without overlap, within `size`
};

struct TarLimits {
    std::uint64_t most_entries = 10'000'000;
    std::size_t most_extension = 1U << 20U;  ///< bytes of a pax header, long name or sparse map
    std::size_t longest_name = 4096;
};

/// Reads ustar, pax and GNU archives front to back: long names, big numbers, xattrs, sparse files in all four forms;
/// pax global headers and GNU volume labels are passed over, anything else is refused. Where a pax size and a header
/// size differ, the pax size governs what is skipped as well (CVE-2025-62518).
class TarReader {
public:
    explicit TarReader(ChunkSource& source, const TarLimits& limits = {}) : source_(source), limits_(limits) {}

    /// Passes over what is left of the current member; false at the end of the archive.
    /// @throws Error(corrupt) for what is no archive, Error(invalid) past a limit, Error(unsupported) for other types
    bool next(TarEntry& entry);
    /// The next piece of the stored bytes of the current member; empty at their end.
    std::span<const std::byte> content();
    /// Where content() goes on, in bytes from the start of the archive.
    std::uint64_t offset() const noexcept { return offset_; }
    /// Stored bytes of the current member that content() has not given yet.
    std::uint64_t content_left() const noexcept { return left_; }

private:
    struct Extensions;
    using Block = std::span<std::byte, 512>;
    bool fill();
    std::size_t read_some(std::span<std::byte> out);
    bool read_block(Block block);
    void skip(std::uint64_t bytes);
    std::string read_text(std::uint64_t size, const char* what);
    void read_old_sparse(std::span<const std::byte, 512> header, TarEntry& entry);
    void read_sparse_map(TarEntry& entry);
    void apply(const Extensions& extensions, TarEntry& entry);
    void check_ranges(const TarEntry& entry) const;
    [[noreturn]] void fail(const std::string& why) const;

    ChunkSource& source_;
    TarLimits limits_;
    std::span<const std::byte> chunk_;
    std::uint64_t offset_ = 0;
    std::uint64_t left_ = 0;     // of the current member's stored bytes
    std::uint64_t padding_ = 0;  // after them, to the next block
    std::uint64_t entries_ = 0;
    bool ended_ = false;
};

}  // namespace locald::image
