#include "core/image/byte_stream.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"

namespace locald::image {

std::size_t FileInput::read(std::span<std::byte> out) {
    const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), left_));
    if (want == 0) return 0;
    for (;;) {
        const ssize_t n = ::pread(fd_, out.data(), want, static_cast<off_t>(offset_));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "read ", what_);
        offset_ += static_cast<std::uint64_t>(n);
        left_ -= static_cast<std::uint64_t>(n);
        return static_cast<std::size_t>(n);
    }
}

std::size_t MemoryInput::read(std::span<std::byte> out) {
    const std::size_t n = std::min(out.size(), left_.size());
    if (n != 0) std::memcpy(out.data(), left_.data(), n);
    left_.remove_prefix(n);
    return n;
}

std::span<const std::byte> MemoryChunks::next() {
    const std::string_view piece = left_.substr(0, chunk_);
    left_.remove_prefix(piece.size());
    return std::as_bytes(std::span(piece));
}

}  // namespace locald::image
