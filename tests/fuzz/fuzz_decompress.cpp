// Packed bytes of strangers: gzip, zstd and neither.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/error.hpp"
#include "core/image/decompress.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace locald;
    image::MemoryInput input(std::string_view(reinterpret_cast<const char*>(data), size));
    try {
        const auto plain = image::decompress(input);
        static std::array<std::byte, 65536> block;
        constexpr std::size_t most = 4U << 20U;
        std::size_t total = 0;
        for (std::size_t n = plain->read(block); n != 0 && total < most; n = plain->read(block)) total += n;
    } catch (const Error&) {  // refused: fine
    }
    return 0;
}
