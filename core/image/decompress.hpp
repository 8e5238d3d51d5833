#pragma once

#include <memory>
#include <span>

#include "core/image/byte_stream.hpp"

namespace locald::image {

/// How a blob is packed, by its first bytes: media types are sometimes wrong.
enum class Compression { none, gzip, zstd };

/// By magic: gzip `1f 8b`, zstd `28 b5 2f fd` or a skippable frame `5x 2a 4d 18`, else none. Needs 4 bytes to see zstd.
Compression detect_compression(std::span<const std::byte> head) noexcept;

/// The unpacked bytes of `input`: gzip with any number of members (checksums verified, what follows the last one passed
/// over as gzip(1) does), zstd with any number of frames and a window of at most 128 MiB, or the bytes as they are.
/// `input` outlives the result.
/// read() @throws Error(corrupt) for damaged or cut data
std::unique_ptr<ByteInput> decompress(ByteInput& input);

}  // namespace locald::image
