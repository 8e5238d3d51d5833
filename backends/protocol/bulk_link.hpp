#pragma once

// What `locald` and `locald agent --bulk` say to each other on a connection that carries one image and nothing else:
// the frames of frame.hpp, without streams and without credit, because the byte stream below holds the sender back.
//
//     guest:  {"bulk": version}
//     client: {"do": "import", …} or {"do": "export", …}
//     import: the guest asks {"size": NAME}, the client answers {"size": N} or null;
//             the guest asks {"read": NAME, "offset": N, "length": N}, the client sends that many bytes in `in` frames
//     export: the guest sends {"export": TITLE}, then {"file": NAME} and its bytes in `out` frames, as often as needed
//     either: {"progress": …} from the guest, {"cancel": true} from the client, {"error": …} from whoever fails
//     guest:  {"result": …} or {"error": …}, the last word
//
// Each side says {"ping": true} every few seconds.

#include <nlohmann/json.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "backends/protocol/frame.hpp"
#include "core/base/error.hpp"

namespace locald::protocol {

inline constexpr unsigned bulk_version = 1;

struct BulkTiming {
    std::chrono::milliseconds ping = std::chrono::seconds(5);
    std::chrono::milliseconds silence = std::chrono::seconds(30);  ///< when the other side counts as lost
};

/// One end. All calls come from one thread.
class BulkLink {
public:
    /// Takes both handles, which may be one number.
    BulkLink(int in, int out, const BulkTiming& timing = {});
    ~BulkLink();
    BulkLink(const BulkLink&) = delete;
    BulkLink& operator=(const BulkLink&) = delete;

    /// Waits until the other side takes it. @throws Error(lost)
    void send(const nlohmann::json& message);
    /// At most max_data at once.
    void send_bytes(FrameType type, std::string_view bytes);
    /// The same from a file. The link is of no use any more after an error. @throws Error(corrupt) when it is shorter
    void send_file(FrameType type, int file, std::uint64_t offset, std::size_t size);

    /// What came: a message, or a piece of the bytes of a data frame, which is valid until the next call of next().
    struct Incoming {
        std::unique_ptr<nlohmann::json> message;
        std::string_view bytes;
    };
    /// Nothing when none came within `most`. @throws Error(lost), Error(corrupt)
    std::optional<Incoming> next(std::chrono::milliseconds most);

private:
    using Clock = std::chrono::steady_clock;

    void send_frame(FrameType type, std::string_view payload);
    void write_all(std::string_view header, std::string_view payload, bool reads_meanwhile);
    void wait_to_write(bool reads_meanwhile);
    bool fill();
    std::optional<Incoming> take();
    void check_silence() const;
    void ping();

    const int in_, out_;
    const BulkTiming timing_;

    std::vector<char> buffer_;
    std::size_t at_ = 0, have_ = 0;
    std::size_t data_left_ = 0;  ///< of the data frame that is being handed out
    std::string control_;        ///< of a message that has not come whole yet
    std::size_t control_left_ = 0;
    bool inside_control_ = false;
    Clock::time_point heard_ = Clock::now();

    std::mutex sending_, ending_;
    std::condition_variable ends_changed_;
    bool ends_ = false;
    std::thread pinger_;
};

}  // namespace locald::protocol
