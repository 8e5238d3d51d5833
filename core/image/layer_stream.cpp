#include "core/image/layer_stream.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/image/decompress.hpp"

namespace locald::image {

namespace {

// 16 × 256 KiB keep all three sides busy and stay within a second level cache's reach.
constexpr std::size_t slot_bytes = 256U << 10U;
constexpr std::size_t slots = 16;

class CountedInput final : public ByteInput {
public:
    explicit CountedInput(ByteInput& input) : input_(input) {}
    std::size_t read(std::span<std::byte> out) override {
        const std::size_t n = input_.read(out);
        bytes_ += n;
        return n;
    }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    ByteInput& input_;
    std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

//   unpacker: fills slot w % slots while it is less than `slots` ahead of both readers, then ++w
//   hasher, caller: each reads slot r % slots while r < w, then ++r; `ended` and r == w is the end
struct LayerStream::Impl {
    Impl(ByteInput& input, const StreamLimits& stream_limits) : packed(input), limits(stream_limits) {
        for (auto& slot : ring) slot.resize(slot_bytes);
        unpacker = std::thread([this] { unpack(); });
        try {
            hasher = std::thread([this] { hash_all(); });
        } catch (...) {
            stop();
            unpacker.join();
            throw;
        }
    }

    ~Impl() {
        stop();
        unpacker.join();
        if (hasher.joinable()) hasher.join();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void stop() {
        const std::lock_guard hold(mutex);
        stopping = true;
        changed.notify_all();
    }

    void unpack() {
        try {
            const auto plain = decompress(packed);
            for (;;) {
                {
                    std::unique_lock hold(mutex);
                    changed.wait(hold,
                                 [&] { return stopping || (written - hashed < slots && written - released < slots); });
                    if (stopping) return;
                }
                auto& slot = ring[written % slots];
                std::size_t filled = 0;
                while (filled < slot_bytes) {
                    const std::size_t n = plain->read(std::span(slot).subspan(filled));
                    if (n == 0) break;
                    filled += n;
                }
                unpacked += filled;
                check_limits();
                const std::lock_guard hold(mutex);
                sizes[written % slots] = filled;
                if (filled == 0) {
                    ended = true;
                } else {
                    ++written;
                }
                changed.notify_all();
                if (ended) return;
            }
        } catch (...) {
            const std::lock_guard hold(mutex);
            failure = std::current_exception();
            ended = true;
            changed.notify_all();
        }
    }

    void check_limits() const {
        const std::uint64_t out = unpacked;
        if (out > limits.most_bytes) {
            throw Error(ErrorKind::invalid,
                        "unpack a layer: more than " + std::to_string(limits.most_bytes) + " bytes come out of it");
        }
        if (out > limits.ratio_from && out / limits.most_ratio > packed.bytes()) {
            throw Error(ErrorKind::invalid, "unpack a layer: " + std::to_string(packed.bytes()) + " bytes became " +
                                                std::to_string(out) + " and more, which looks like a bomb");
        }
    }

    void hash_all() {
        Sha256 hash;
        try {
            for (;;) {
                std::size_t slot = 0;
                {
                    std::unique_lock hold(mutex);
                    changed.wait(hold, [&] { return stopping || ended || hashed < written; });
                    if (stopping) return;
                    if (hashed == written) break;
                    slot = hashed % slots;
                }
                hash.update(std::span<const std::byte>(ring[slot]).first(sizes[slot]));
                const std::lock_guard hold(mutex);
                ++hashed;
                changed.notify_all();
            }
            digest = hash.finish();
        } catch (...) {
            const std::lock_guard hold(mutex);
            if (!failure) failure = std::current_exception();
            ended = true;
            stopping = true;
            changed.notify_all();
        }
    }

    std::span<const std::byte> next() {
        std::unique_lock hold(mutex);
        if (handed_out) {
            ++released;
            handed_out = false;
            changed.notify_all();
        }
        changed.wait(hold, [&] { return ended || released < written; });
        if (released == written) {
            if (failure) std::rethrow_exception(failure);
            return {};
        }
        handed_out = true;
        const std::size_t slot = released % slots;
        return std::span<const std::byte>(ring[slot]).first(sizes[slot]);
    }

    CountedInput packed;
    StreamLimits limits;
    std::array<std::vector<std::byte>, slots> ring;
    std::array<std::size_t, slots> sizes{};
    std::atomic<std::uint64_t> unpacked{0};

    std::mutex mutex;
    std::condition_variable changed;
    // Numbers of slots since the start; all below `written` are filled.
    std::uint64_t written = 0, hashed = 0, released = 0;
    bool handed_out = false, ended = false, stopping = false;
    std::exception_ptr failure;
    Digest digest;
    std::thread unpacker, hasher;
};

LayerStream::LayerStream(ByteInput& packed, const StreamLimits& limits)
    : impl_(std::make_unique<Impl>(packed, limits)) {}
LayerStream::~LayerStream() = default;

std::span<const std::byte> LayerStream::next() { return impl_->next(); }

Digest LayerStream::finish() {
    while (!impl_->next().empty()) {
    }
    impl_->hasher.join();
    if (impl_->failure) std::rethrow_exception(impl_->failure);
    return impl_->digest;
}

std::uint64_t LayerStream::packed_bytes() const noexcept { return impl_->packed.bytes(); }
std::uint64_t LayerStream::unpacked_bytes() const noexcept { return impl_->unpacked; }

}  // namespace locald::image
