#include "core/image/decompress.hpp"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/base/error.hpp"

namespace locald::image {

namespace {

constexpr std::size_t input_block = 256U << 10U;
// zstd(1) refuses more than 128 MiB without --long as well; a frame may ask for much more and eat the memory.
constexpr int largest_window_log = 27;

[[noreturn]] void throw_damaged(const char* format, const std::string& why) {
    throw Error(ErrorKind::corrupt, std::string("unpack ") + format + " data: " + why);
}

/// The input in blocks, with the first bytes looked at before they are taken.
class Blocks {
public:
    explicit Blocks(ByteInput& input) : input_(input), block_(input_block) {}

    /// What is at hand, read when nothing is; empty at the end.
    std::span<const std::byte> data() {
        if (at_ == end_ && !done_) refill();
        return std::span<const std::byte>(block_).subspan(at_, end_ - at_);
    }
    void take(std::size_t n) { at_ += n; }
    /// At least `n` bytes unless the input ends before.
    std::span<const std::byte> peek(std::size_t n) {
        while (end_ - at_ < n && !done_) {
            std::memmove(block_.data(), block_.data() + at_, end_ - at_);
            end_ -= at_;
            at_ = 0;
            const std::size_t got = input_.read(std::span(block_).subspan(end_));
            done_ = got == 0;
            end_ += got;
        }
        return std::span<const std::byte>(block_).subspan(at_, end_ - at_);
    }

private:
    void refill() {
        at_ = 0;
        end_ = input_.read(block_);
        done_ = end_ == 0;
    }

    ByteInput& input_;
    std::vector<std::byte> block_;
    std::size_t at_ = 0, end_ = 0;
    bool done_ = false;
};

class Plain final : public ByteInput {
public:
    explicit Plain(Blocks blocks) : blocks_(std::move(blocks)) {}
    std::size_t read(std::span<std::byte> out) override {
        const auto data = blocks_.data();
        const std::size_t n = std::min(out.size(), data.size());
        if (n != 0) std::memcpy(out.data(), data.data(), n);
        blocks_.take(n);
        return n;
    }

private:
    Blocks blocks_;
};

class Gzip final : public ByteInput {
public:
    explicit Gzip(Blocks blocks) : blocks_(std::move(blocks)), state_(std::make_unique<inflate_state>()) {
        start_member();
    }

    std::size_t read(std::span<std::byte> out) override {
        std::size_t made = 0;
        while (made < out.size() && !ended_) {
            const auto data = blocks_.data();
            state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(data.data()));
            state_->avail_in = static_cast<std::uint32_t>(data.size());
            state_->next_out = reinterpret_cast<std::uint8_t*>(out.data() + made);
            const auto room = static_cast<std::uint32_t>(std::min<std::size_t>(out.size() - made, 1U << 30U));
            state_->avail_out = room;
            const int result = isal_inflate(state_.get());
            if (result < 0) throw_damaged("gzip", reason(result));
            const std::size_t used = data.size() - state_->avail_in;
            const std::size_t got = room - state_->avail_out;
            blocks_.take(used);
            made += got;
            if (state_->block_state == ISAL_BLOCK_FINISH) {
                next_member();
            } else if (used == 0 && got == 0 && blocks_.data().empty()) {
                throw_damaged("gzip", "the data end in the middle");
            }
        }
        return made;
    }

private:
    static std::string reason(int result) {
        switch (result) {
            case ISAL_INCORRECT_CHECKSUM:
                return "the checksum is wrong";
            case ISAL_INVALID_WRAPPER:
            case ISAL_UNSUPPORTED_METHOD:
                return "a member has no valid header";
            default:
                return "invalid deflate data (" + std::to_string(result) + ")";
        }
    }

    void start_member() {
        isal_inflate_init(state_.get());
        state_->crc_flag = ISAL_GZIP;  // parses the header, verifies checksum and length in the trailer
    }

    void next_member() {
        const auto head = blocks_.peek(2);
        if (detect_compression(head) == Compression::gzip) {
            start_member();
            return;
        }
        while (!blocks_.data().empty()) blocks_.take(blocks_.data().size());
        ended_ = true;
    }

    Blocks blocks_;
    std::unique_ptr<inflate_state> state_;
    bool ended_ = false;
};

class Zstd final : public ByteInput {
public:
    explicit Zstd(Blocks blocks) : blocks_(std::move(blocks)), stream_(ZSTD_createDStream()) {
        if (!stream_) throw std::bad_alloc();
        check(ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, largest_window_log));
    }

    std::size_t read(std::span<std::byte> out) override {
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        while (to.pos < to.size) {
            const auto data = blocks_.data();
            // Output may still be inside the decoder when the input is used up, so the call comes before the verdict.
            if (data.empty() && frame_complete_) break;
            ZSTD_inBuffer from{data.data(), data.size(), 0};
            const std::size_t before = to.pos;
            const std::size_t left = check(ZSTD_decompressStream(stream_.get(), &to, &from));
            blocks_.take(from.pos);
            frame_complete_ = left == 0;
            if (data.empty() && to.pos == before && !frame_complete_) {
                throw_damaged("zstd", "the data end in the middle");
            }
        }
        return to.pos;
    }

private:
    struct Free {
        void operator()(ZSTD_DStream* stream) const noexcept { ZSTD_freeDStream(stream); }
    };
    static std::size_t check(std::size_t result) {
        if (ZSTD_isError(result) != 0) throw_damaged("zstd", ZSTD_getErrorName(result));
        return result;
    }

    Blocks blocks_;
    std::unique_ptr<ZSTD_DStream, Free> stream_;
    bool frame_complete_ = false;
};

}  // namespace

Compression detect_compression(std::span<const std::byte> head) noexcept {
    const auto is = [&](std::size_t at, unsigned value) { return head[at] == static_cast<std::byte>(value); };
    if (head.size() >= 2 && is(0, 0x1f) && is(1, 0x8b)) return Compression::gzip;
    if (head.size() < 4) return Compression::none;
    if (is(0, 0x28) && is(1, 0xb5) && is(2, 0x2f) && is(3, 0xfd)) return Compression::zstd;
    if ((head[0] & std::byte{0xf0}) == std::byte{0x50} && is(1, 0x2a) && is(2, 0x4d) && is(3, 0x18)) {
        return Compression::zstd;
    }
    return Compression::none;
}

std::unique_ptr<ByteInput> decompress(ByteInput& input) {
    Blocks blocks(input);
    switch (detect_compression(blocks.peek(4))) {
        case Compression::gzip:
            return std::make_unique<Gzip>(std::move(blocks));
        case Compression::zstd:
            return std::make_unique<Zstd>(std::move(blocks));
        case Compression::none:
            break;
    }
    return std::make_unique<Plain>(std::move(blocks));
}

}  // namespace locald::image
