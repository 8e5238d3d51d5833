#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/image/byte_stream.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::image {

/// Files by name: a directory or a tar of an image layout. Members of a tar are only ever read by their names, never
/// put anywhere.
class FileSet {
public:
    virtual ~FileSet() = default;
    struct Part {
        std::unique_ptr<ByteInput> bytes;
        std::uint64_t size = 0;
    };
    /// A regular file, links within the set followed; nothing when there is none.
    virtual std::optional<Part> open(const std::string& name) const = 0;
    /// A whole small file. @throws Error(not_found), Error(invalid) above `most` bytes
    std::string read(const std::string& name, std::uint64_t most) const;
    /// How errors name the set.
    const std::string& shown() const noexcept { return shown_; }

protected:
    explicit FileSet(std::string shown) : shown_(std::move(shown)) {}

private:
    std::string shown_;
};

/// A directory, or a tar (plain, gzip, zstd). A packed one is unpacked into an unnamed file in `scratch` first.
std::unique_ptr<FileSet> open_file_set(const std::string& path, const std::string& scratch);

/// A plain tar that is in memory.
std::unique_ptr<FileSet> memory_file_set(std::string_view tar, std::string shown);

}  // namespace locald::image
