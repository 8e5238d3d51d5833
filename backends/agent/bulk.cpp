#include "backends/agent/bulk.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/agent/request.hpp"
#include "backends/protocol/bulk_link.hpp"
#include "backends/protocol/values.hpp"
#include "core/base/file_source.hpp"
#include "core/base/log.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::BulkLink;
using protocol::FrameType;
using protocol::Json;

// How long until a cancel is looked for while nothing comes.
constexpr auto wait_step = 1s;
// What may be under way before it was used, so that a long way does not slow it down.
constexpr std::uint64_t ahead_most = 8U << 20U;
constexpr std::uint64_t ahead_step = 2U << 20U;

/// What a client says out of turn. @throws Error(cancelled), or the client's own
void take_word(const Json& message) {
    if (message.contains("cancel")) throw Error(ErrorKind::cancelled, "cancelled");
    if (const auto error = message.find("error"); error != message.end()) throw protocol::read_error(*error);
}

/// Files of the client's.
class ClientFiles final : public FileSource {
public:
    /// @param size  of the one file; nothing for a directory
    ClientFiles(BulkLink& link, std::optional<std::uint64_t> size) : link_(link), size_(size) {}

    bool is_directory() const noexcept override { return !size_; }

    std::optional<std::uint64_t> size_of(const std::string& name) override {
        if (size_) return size_;
        drain();
        link_.send(Json{{"size", name}});
        for (;;) {
            const auto incoming = wait();
            if (!incoming.message) throw Error(ErrorKind::corrupt, "read the size of a file: bytes came instead");
            const auto found = incoming.message->find("size");
            if (found == incoming.message->end()) continue;
            if (found->is_null()) return std::nullopt;
            return found->get<std::uint64_t>();
        }
    }

    std::size_t read(const std::string& name, std::uint64_t offset, std::uint64_t end,
                     std::span<std::byte> out) override {
        if (size_) end = std::min(end, *size_);
        if (offset >= end || out.empty()) return 0;
        if (name != name_ || offset != at_ || end_ != end) begin(name, offset, end);
        if (piece_.empty()) {
            ask();
            piece_ = wait_bytes();
        }
        const std::size_t n = std::min(out.size(), piece_.size());
        std::memcpy(out.data(), piece_.data(), n);
        piece_.remove_prefix(n);
        at_ += n;
        return n;
    }

private:
    BulkLink::Incoming wait() {
        for (;;) {
            auto incoming = link_.next(wait_step);
            if (!incoming) continue;
            if (incoming->message) take_word(*incoming->message);
            return std::move(*incoming);
        }
    }

    std::string_view wait_bytes() {
        auto incoming = wait();
        while (incoming.message) incoming = wait();
        if (incoming.bytes.size() > asked_ - at_) {
            throw Error(ErrorKind::corrupt, "read a file of the other host: more bytes came than were asked for");
        }
        return incoming.bytes;
    }

    void begin(const std::string& name, std::uint64_t offset, std::uint64_t end) {
        drain();
        name_ = name;
        at_ = asked_ = offset;
        end_ = end;
    }

    /// Asks for more before all that was asked for has come.
    void ask() {
        while (asked_ < end_ && asked_ - at_ <= ahead_most - ahead_step) {
            const auto length = std::min(ahead_step, end_ - asked_);
            link_.send(Json{{"read", name_}, {"offset", asked_}, {"length", length}});
            asked_ += length;
        }
    }

    /// What is still to come of the file before is let go by.
    void drain() {
        at_ += piece_.size();
        piece_ = {};
        while (at_ < asked_) at_ += wait_bytes().size();
    }

    BulkLink& link_;
    const std::optional<std::uint64_t> size_;
    std::string name_;
    std::uint64_t at_ = 0, asked_ = 0, end_ = 0;
    std::string_view piece_;  ///< came, and was not used yet
};

/// Where a client writes what is exported.
class ClientTarget final : public FileSink {
public:
    explicit ClientTarget(BulkLink& link) : link_(link) {}

    void begin(const std::string& title) override { link_.send(Json{{"export", title}}); }
    void file(const std::string& name) override { link_.send(Json{{"file", name}}); }
    void write(std::span<const std::byte> bytes) override {
        std::string_view left(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        for (; !left.empty(); left.remove_prefix(std::min(left.size(), protocol::max_data))) {
            if (const auto incoming = link_.next(0ms); incoming && incoming->message) take_word(*incoming->message);
            link_.send_bytes(FrameType::out, left.substr(0, protocol::max_data));
        }
    }

private:
    BulkLink& link_;
};

Json import(runtime::Images& images, BulkLink& link, const Json& request, const ProgressSink& progress) {
    std::optional<std::uint64_t> size;
    if (const auto& told = request.at("size"); !told.is_null()) size = told.get<std::uint64_t>();
    ClientFiles files(link, size);
    return protocol::write_image(images.import_from(files, protocol::read_image_name(request.at("image")),
                                                    request.at("as").get<std::string>(), progress, {}));
}

Json do_export(runtime::Images& images, BulkLink& link, const Json& request, const ProgressSink& progress) {
    ClientTarget target(link);
    images.export_to_sink(request.at("image").get<std::string>(), target, request.at("directory").get<bool>(), progress,
                          {});
    return {};
}

Json wait_for_request(BulkLink& link) {
    for (;;) {
        const auto incoming = link.next(wait_step);
        if (!incoming) continue;
        if (!incoming->message) throw Error(ErrorKind::corrupt, "read a request: bytes came instead");
        return *incoming->message;
    }
}

Json answer(runtime::ContainerRuntime& runtime, BulkLink& link) {
    const Json request = wait_for_request(link);
    const ProgressSink progress = [&](const Progress& step) {
        link.send(Json{{"progress", protocol::write_progress(step)}});
    };
    const std::string what = request.at("do");
    if (what == "import") return import(runtime.images(), link, request, progress);
    if (what == "export") return do_export(runtime.images(), link, request, progress);
    throw Error(ErrorKind::unsupported,
                "this locald does not know the request '" + protocol::without_escapes(what) + "'");
}

}  // namespace

void serve_bulk(runtime::ContainerRuntime& runtime, int in, int out) {
    BulkLink link(in, out);
    try {
        link.send(Json{{"bulk", protocol::bulk_version}});
        Json last;
        try {
            last = Json{{"result", answer(runtime, link)}};
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::lost) throw;
            last = caught_error();
        } catch (const Json::exception&) {
            last = caught_error();
        }
        link.send(last);
        // The client hangs up once it has read this; whoever goes first may take the end of it along.
        while (true) link.next(wait_step);
    } catch (const Error& e) {
        log(LogLevel::debug, e.what());  // nobody is there to hear it
    }
}

}  // namespace locald::backends
