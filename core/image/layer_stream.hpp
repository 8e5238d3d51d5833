#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/digest.hpp"
#include "core/image/byte_stream.hpp"

namespace locald::image {

/// When a stream is taken for a bomb. Bytes.
struct StreamLimits {
    std::uint64_t most_bytes = std::uint64_t{64} << 30U;  ///< unpacked
    std::uint64_t ratio_from = std::uint64_t{1} << 30U;   ///< the ratio counts from here on
    std::uint64_t most_ratio = 1000;                      ///< unpacked to packed
};

/// The tar bytes of a packed layer. Three things go on at once over a bounded ring of buffers: one thread reads and
/// unpacks, one hashes, and the caller of next() works on what is there.
class LayerStream final : public ChunkSource {
public:
    /// `packed` outlives the stream and is read by its thread alone.
    explicit LayerStream(ByteInput& packed, const StreamLimits& limits = {});
    /// Stops the threads, however far they are.
    ~LayerStream() override;
    LayerStream(const LayerStream&) = delete;
    LayerStream& operator=(const LayerStream&) = delete;

    /// @throws what unpacking threw: Error(corrupt) …
    std::span<const std::byte> next() override;
    /// Reads to the very end and gives the digest of all unpacked bytes: the diff id.
    Digest finish();
    /// Packed bytes read so far, for progress.
    std::uint64_t packed_bytes() const noexcept;
    /// Unpacked bytes so far.
    std::uint64_t unpacked_bytes() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace locald::image
