// What comes over the link between `locald` and its agent: read the same however it was cut into pieces, and taken by
// the multiplexer without a hang, a crash or more bytes in store than the credit allows.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "backends/protocol/frame.hpp"
#include "backends/protocol/multiplexer.hpp"
#include "core/base/error.hpp"

namespace {

using namespace locald::protocol;

void need(bool holds) {
    if (!holds) std::abort();
}

struct Heard {
    std::vector<Frame> frames;
    bool refused = false;
};

Heard hear(std::string_view bytes, std::size_t piece) {
    Heard heard;
    FrameReader reader;
    try {
        while (!bytes.empty()) {
            const auto now = bytes.substr(0, piece);
            bytes.remove_prefix(now.size());
            reader.push(now);
            while (auto frame = reader.next()) heard.frames.push_back(std::move(*frame));
        }
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::corrupt);
        heard.refused = true;
    }
    return heard;
}

void read_in_pieces(std::string_view bytes) {
    const Heard whole = hear(bytes, bytes.size() + 1);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, header_size}) {
        const Heard cut = hear(bytes, piece);
        need(cut.refused == whole.refused && cut.frames.size() == whole.frames.size());
        for (std::size_t i = 0; i < cut.frames.size(); ++i) {
            const Frame &a = cut.frames[i], &b = whole.frames[i];
            need(a.type == b.type && a.stream == b.stream && a.payload == b.payload);
            need(a.payload.size() <= (a.type == FrameType::control ? max_control : max_data));
        }
    }
}

void take_by_multiplexer(std::string_view bytes) {
    int link[2];
    need(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) == 0);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    need(nowhere >= 0);
    {
        Multiplexer multiplexer(link[0], link[0]);
        for (const std::uint32_t stream : {1U, 2U}) {
            multiplexer.write_to(stream, FrameType::out, {.handle = nowhere, .ours = false});
            multiplexer.read_from(stream, FrameType::in, {.handle = nowhere, .ours = false});
        }
        need(::write(link[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
        need(::shutdown(link[1], SHUT_WR) == 0);
        unsigned losses = 0;
        multiplexer.run({.message = [](std::uint32_t, const nlohmann::json& message) { need(message.is_object()); },
                         .closed = [](std::uint32_t stream, FrameType) { need(stream == 1 || stream == 2); },
                         .lost =
                             [&](const locald::Error& why) {
                                 need(why.kind() == locald::ErrorKind::lost ||
                                      why.kind() == locald::ErrorKind::corrupt);
                                 ++losses;
                                 multiplexer.stop();
                             }});
        need(losses == 1);
    }
    ::close(link[1]);
    ::close(nowhere);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (size > std::size_t{32} << 10U) return -1;  // what a socket takes at once
    read_in_pieces(bytes);
    take_by_multiplexer(bytes);
    return 0;
}
