#include "backends/protocol/frame.hpp"

#include "core/base/error.hpp"

namespace locald::protocol {

namespace {

void append_u32(std::string& out, std::uint32_t value) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>((value >> shift) & 0xFFU));
}

std::uint32_t read_u32(std::string_view bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
}

bool is_data(FrameType type) { return type == FrameType::in || type == FrameType::out || type == FrameType::err; }

std::size_t most_of(FrameType type) { return is_data(type) ? max_data : max_control; }

}  // namespace

void append_frame(std::string& out, FrameType type, std::uint32_t stream, std::string_view payload) {
    append_u32(out, static_cast<std::uint32_t>(payload.size()));
    out.push_back(static_cast<char>(type));
    append_u32(out, stream);
    out.append(payload);
}

void append_credit(std::string& out, std::uint32_t stream, FrameType used, std::uint32_t bytes) {
    std::string payload(1, static_cast<char>(used));
    append_u32(payload, bytes);
    append_frame(out, FrameType::credit, stream, payload);
}

Credit read_credit(const Frame& frame) {
    constexpr std::size_t size = 5;
    if (frame.payload.size() != size) {
        throw Error(ErrorKind::corrupt,
                    "read a credit frame: it has " + std::to_string(frame.payload.size()) + " bytes instead of 5");
    }
    const Credit credit{static_cast<FrameType>(frame.payload[0]), read_u32(std::string_view(frame.payload).substr(1))};
    if (!is_data(credit.type)) throw Error(ErrorKind::corrupt, "read a credit frame: it is for no stream of bytes");
    return credit;
}

void FrameReader::push(std::string_view bytes) {
    if (at_ > 0 && (at_ == bytes_.size() || at_ > max_data)) {
        bytes_.erase(0, at_);
        at_ = 0;
    }
    bytes_.append(bytes);
}

std::optional<Frame> FrameReader::next() {
    for (;;) {
        const auto rest = std::string_view(bytes_).substr(at_);
        if (rest.size() < header_size) return std::nullopt;
        const auto length = read_u32(rest);
        const auto type = static_cast<FrameType>(rest[4]);
        if (length > most_of(type)) {
            throw Error(ErrorKind::corrupt, "read a frame of type " + std::to_string(static_cast<unsigned>(type)) +
                                                ": " + std::to_string(length) + " bytes are above the limit of " +
                                                std::to_string(most_of(type)));
        }
        if (rest.size() < header_size + length) return std::nullopt;
        at_ += header_size + length;
        if (type != FrameType::control && type != FrameType::credit && !is_data(type)) continue;
        return Frame{type, read_u32(rest.substr(5)), std::string(rest.substr(header_size, length))};
    }
}

}  // namespace locald::protocol
