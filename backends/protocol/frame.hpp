#pragma once

// What `locald` and its agent on another kernel say to each other: frames on one byte stream. A frame is
//
//     length (4 bytes, big endian, of the payload alone) · type (1) · stream (4, big endian) · payload
//
// Stream 0 is the connection, every other number is one request of the client's. Both sides keep each direction of a
// request's bytes below a credit that the receiver renews, so whoever does not read stops nobody else.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace locald::protocol {

/// What both sides must share; hello carries it.
inline constexpr unsigned version = 2;

enum class FrameType : std::uint8_t {
    control = 1,  ///< one JSON object, at most max_control bytes
    in = 2,       ///< bytes for a container's stdin or terminal, or of an upload
    out = 3,      ///< bytes of its stdout or terminal, or of a download
    err = 4,      ///< bytes of its stderr
    credit = 5,   ///< type whose bytes were used (1), how many (4, big endian)
};

inline constexpr std::size_t header_size = 9;
inline constexpr std::size_t max_control = 1U << 20U;
inline constexpr std::size_t max_data = 64U << 10U;
/// How many bytes of one direction may be under way before the first credit.
inline constexpr std::size_t first_credit = 256U << 10U;

struct Frame {
    FrameType type = FrameType::control;
    std::uint32_t stream = 0;
    std::string payload;
};

/// The first bytes of a frame.
struct FrameHeader {
    std::size_t length = 0;
    FrameType type = FrameType::control;
    std::uint32_t stream = 0;
};
bool is_data(FrameType type) noexcept;
/// @param bytes  at least header_size of them. @throws Error(corrupt) when the length is above what its type may have
FrameHeader read_header(std::string_view bytes);
void append_header(std::string& out, const FrameHeader& header);

void append_frame(std::string& out, FrameType type, std::uint32_t stream, std::string_view payload);
void append_credit(std::string& out, std::uint32_t stream, FrameType used, std::uint32_t bytes);

struct Credit {
    FrameType type = FrameType::in;
    std::uint32_t bytes = 0;
};
/// @throws Error(corrupt)
Credit read_credit(const Frame& frame);

/// Takes bytes as they come and gives whole frames. Frames of an unknown type are passed over.
class FrameReader {
public:
    void push(std::string_view bytes);
    /// @throws Error(corrupt) when a length is above what its type may have; nothing comes after that
    std::optional<Frame> next();
    /// Whether the bytes end within a frame.
    bool inside_frame() const noexcept { return at_ < bytes_.size(); }

private:
    std::string bytes_;
    std::size_t at_ = 0;
};

}  // namespace locald::protocol
