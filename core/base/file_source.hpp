#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace locald {

/// One file, or the files of a directory by name, that somebody serves from another host.
class FileSource {
public:
    virtual ~FileSource() = default;
    /// Whether it is a directory; else it is one file, whose name is empty.
    virtual bool is_directory() const noexcept = 0;
    /// The size of a regular file, links within the directory followed; nothing when there is none of that name.
    virtual std::optional<std::uint64_t> size_of(const std::string& name) = 0;
    /// Fills `out` from `offset` on as far as bytes are at hand; 0 only at the end.
    /// @param end  how far the reader means to go on, so what may be sent before it is asked for
    virtual std::size_t read(const std::string& name, std::uint64_t offset, std::uint64_t end,
                             std::span<std::byte> out) = 0;
};

/// Files that somebody writes on another host, one after the other.
class FileSink {
public:
    virtual ~FileSink() = default;
    /// The first call of all. @param title  what is written, for error texts
    virtual void begin(const std::string& title) = 0;
    /// The next file of a directory, or with an empty name the only one.
    virtual void file(const std::string& name) = 0;
    virtual void write(std::span<const std::byte> bytes) = 0;
};

}  // namespace locald
