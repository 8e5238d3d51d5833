#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace locald::image {

/// Writes a ustar archive whose bytes depend on names and contents alone: owner 0:0, mode 0644 or 0755, time 0.
class TarWriter {
public:
    using Sink = std::function<void(std::span<const std::byte>)>;
    explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

    void directory(const std::string& name);
    void file(const std::string& name, std::string_view content);
    /// Announces a file; exactly `size` bytes of it follow through content().
    void begin_file(const std::string& name, std::uint64_t size);
    void content(std::span<const std::byte> bytes);
    /// Fills the file up to a whole block. @throws Error(corrupt) when bytes are missing
    void end_file();
    /// The end blocks.
    void finish();

private:
    void header(const std::string& name, char type, std::uint64_t size, unsigned mode);

    Sink sink_;
    std::uint64_t size_ = 0, written_ = 0;
};

}  // namespace locald::image
