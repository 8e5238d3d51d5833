#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/posix/unique_fd.hpp"

namespace locald::image {

/// Bytes in order, copied into the caller's buffer.
class ByteInput {
public:
    virtual ~ByteInput() = default;
    /// Fills `out` as far as bytes are at hand; 0 only at the end.
    virtual std::size_t read(std::span<std::byte> out) = 0;
    /// Passes over the next `bytes` without reading them, where that is possible.
    virtual bool skip(std::uint64_t /*bytes*/) { return false; }
};

/// Bytes in order, in pieces that the source owns.
class ChunkSource {
public:
    virtual ~ChunkSource() = default;
    /// The next piece, valid until the next call; empty only at the end.
    virtual std::span<const std::byte> next() = 0;
    /// Passes over at most `bytes` without handing them out and says how many; 0 where the source can only be read.
    virtual std::uint64_t skip(std::uint64_t /*bytes*/) { return 0; }
};

/// A part of an open file, read at its own offset so that several readers can share the descriptor.
class FileInput final : public ByteInput {
public:
    /// @param what  how errors name the file
    FileInput(int fd, std::string what, std::uint64_t offset = 0, std::uint64_t size = ~std::uint64_t{0})
        : fd_(fd), what_(std::move(what)), offset_(offset), left_(size) {}
    std::size_t read(std::span<std::byte> out) override;

private:
    int fd_;
    std::string what_;
    std::uint64_t offset_;
    std::uint64_t left_;
};

/// Bytes that are in memory already.
class MemoryInput final : public ByteInput {
public:
    explicit MemoryInput(std::string_view bytes) : left_(bytes) {}
    std::size_t read(std::span<std::byte> out) override;

private:
    std::string_view left_;
};

/// Chunks of bytes that are in memory already, cut so that readers meet every kind of border.
class MemoryChunks final : public ChunkSource {
public:
    explicit MemoryChunks(std::string_view bytes, std::size_t chunk = 1U << 16U) : left_(bytes), chunk_(chunk) {}
    std::span<const std::byte> next() override;

private:
    std::string_view left_;
    std::size_t chunk_;
};

}  // namespace locald::image
