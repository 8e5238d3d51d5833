#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file_source.hpp"
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
    /// Whether its bytes come over a network, so that what came of a large blob is worth keeping when it is cut.
    bool comes_from_afar() const noexcept { return from_afar_; }

protected:
    explicit FileSet(std::string shown, bool from_afar = false) : shown_(std::move(shown)), from_afar_(from_afar) {}

private:
    std::string shown_;
    bool from_afar_;
};

/// A directory, or a tar (plain, gzip, zstd). A packed one is unpacked into an unnamed file in `scratch` first.
std::unique_ptr<FileSet> open_file_set(const std::string& path, const std::string& scratch);

/// The same of files on another host. Members of a packed archive come with all the others.
std::unique_ptr<FileSet> open_file_set(FileSource& source, const std::string& shown, const std::string& scratch);

/// A plain tar that is in memory.
std::unique_ptr<FileSet> memory_file_set(std::string_view tar, std::string shown);

}  // namespace locald::image
