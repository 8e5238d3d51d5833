// Archives of strangers: TarReader and LayerApplier, the latter into a directory of its own, must end with an Error or
// a result.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/base/error.hpp"
#include "core/image/layer_applier.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace {

using namespace locald;

/// A scratch directory with a `canary` beside the root that nothing may touch.
struct Scratch {
    std::string path;
    posix::UniqueFd directory;
    Scratch() {
        const char* base = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        path = std::string(base) + "/locald-fuzz-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) std::abort();
        directory = posix::open(path, O_RDONLY | O_DIRECTORY);
        if (::mkdirat(directory.get(), "canary", 0700) != 0) std::abort();
    }
    ~Scratch() { posix::remove_tree(path); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
};

/// Gives every block a header's right checksum, without which mutation ends at the first header.
void fix_checksums(std::string& bytes) {
    constexpr std::size_t block = 512;
    constexpr std::size_t field = 148;
    for (std::size_t at = 0; at + block <= bytes.size(); at += block) {
        if (bytes.find_first_not_of('\0', at) >= at + block) continue;
        bytes.replace(at + field, 8, 8, ' ');
        unsigned sum = 0;
        for (std::size_t i = at; i < at + block; ++i) sum += static_cast<unsigned char>(bytes[i]);
        for (std::size_t digit = 6; digit > 0; --digit, sum >>= 3U) {
            bytes[at + field + digit - 1] = static_cast<char>('0' + static_cast<int>(sum & 7U));
        }
        bytes[at + field + 6] = '\0';
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Scratch scratch;
    static const image::Owners owners = image::Owners::of_this_process();
    if (size > (1U << 16U)) return 0;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    if (size % 2 != 0) fix_checksums(bytes);  // the other half meets the bytes as they are
    posix::remove_tree_at(scratch.directory, "root");
    if (::mkdirat(scratch.directory.get(), "root", 0700) != 0) std::abort();
    const auto root = posix::openat(scratch.directory, "root", O_RDONLY | O_DIRECTORY);
    try {
        image::MemoryChunks chunks(bytes, 1 + bytes.size() / 3);
        image::TarLimits limits;
        limits.most_entries = 200;
        image::TarReader reader(chunks, limits);
        image::apply_layer(reader, root, {}, owners);
    } catch (const Error&) {  // refused: fine
    }
    if (::unlinkat(scratch.directory.get(), "canary", AT_REMOVEDIR) != 0) std::abort();
    if (::mkdirat(scratch.directory.get(), "canary", 0700) != 0) std::abort();
    return 0;
}
