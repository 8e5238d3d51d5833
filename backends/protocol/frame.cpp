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

std::size_t most_of(FrameType type) noexcept { return is_data(type) ? max_data : max_control; }

}  // namespace

bool is_data(FrameType type) noexcept {
    return type == FrameType::in || type == FrameType::out || type == FrameType::err;
}

FrameHeader read_header(std::string_view bytes) {
    const FrameHeader header{read_u32(bytes), static_cast<FrameType>(bytes[4]), read_u32(bytes.substr(5))};
    const auto most = most_of(header.type);
    if (header.length > most) {
        throw Error(ErrorKind::corrupt, "read a frame of type " + std::to_string(static_cast<unsigned>(header.type)) +
                                            ": " + std::to_string(header.length) + " bytes are above the limit of " +
                                            std::to_string(most));
    }
    return header;
}

void append_header(std::string& out, const FrameHeader& header) {
    append_u32(out, static_cast<std::uint32_t>(header.length));
    out.push_back(static_cast<char>(header.type));
    append_u32(out, header.stream);
}

void append_frame(std::string& out, FrameType type, std::uint32_t stream, std::string_view payload) {
    append_header(out, {payload.size(), type, stream});
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
        const auto [length, type, stream] = read_header(rest);
        if (rest.size() < header_size + length) return std::nullopt;
        at_ += header_size + length;
        if (type != FrameType::control && type != FrameType::credit && !is_data(type)) continue;
        return Frame{type, stream, std::string(rest.substr(header_size, length))};
    }
}

}  // namespace locald::protocol
