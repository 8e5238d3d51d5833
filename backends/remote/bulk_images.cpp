#include "backends/remote/bulk_images.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "backends/protocol/bulk_link.hpp"
#include "backends/protocol/values.hpp"
#include "backends/remote/export_target.hpp"
#include "backends/remote/local_files.hpp"
#include "backends/remote/read_answer.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using protocol::BulkLink;
using protocol::FrameType;
using protocol::Json;

constexpr auto greeting_most = 20s;
// A cancel token cannot wake anybody, so it is looked at.
constexpr auto look_at_cancel = 50ms;
// How long an agent that was asked to end gets to clear up and say so.
constexpr auto farewell_most = 5s;

void throw_error_in(const Json& message) {
    if (const auto error = message.find("error"); error != message.end()) throw protocol::read_error(*error);
}

/// The connection, with what every request on it has in common.
class Bulk {
public:
    Bulk(const ConnectBulk& connect, const ProgressSink& progress, const CancelToken& cancel)
        : progress_(progress), cancel_(cancel), keeps_(connect()), link_(keeps_.handle, keeps_.handle) {
        try {
            const auto end = Clock::now() + greeting_most;
            for (;;) {
                if (const auto hello = link_.next(look_at_cancel)) {
                    if (hello->message && hello->message->value("bulk", 0U) == protocol::bulk_version) break;
                    throw Error(ErrorKind::unsupported, "its greeting is not that of this locald's agent");
                }
                cancel_.check();
                if (Clock::now() > end) throw Error(ErrorKind::unavailable, "the agent said nothing for 20 seconds");
            }
        } catch (const Error& e) {
            throw keeps_.explain ? keeps_.explain(e) : Error(e);
        }
    }

    BulkLink& link() noexcept { return link_; }
    bool cancelled() const noexcept { return cancel_.cancelled(); }

    /// What comes next that is not progress. @throws Error as the agent says it
    BulkLink::Incoming next() {
        for (;;) {
            if (cancel_.cancelled()) ask_to_end();
            auto incoming = link_.next(look_at_cancel);
            if (!incoming) continue;
            if (!incoming->message) return std::move(*incoming);
            throw_error_in(*incoming->message);
            const auto step = incoming->message->find("progress");
            if (step == incoming->message->end()) return std::move(*incoming);
            if (progress_) progress_(protocol::read_progress(*step));
        }
    }

private:
    void ask_to_end() {
        const auto end = Clock::now() + farewell_most;
        if (!std::exchange(asked_, true)) link_.send(Json{{"cancel", true}});
        for (;;) {
            const auto incoming = link_.next(look_at_cancel);
            if (!incoming && Clock::now() > end) cancel_.check();
            if (!incoming || !incoming->message) continue;
            throw_error_in(*incoming->message);
            if (incoming->message->contains("result")) cancel_.check();
        }
    }

    const ProgressSink& progress_;
    const CancelToken& cancel_;
    const AgentLink keeps_;
    BulkLink link_;
    bool asked_ = false;
};

/// Answers to what the agent asks of the files here.
class Serving {
public:
    Serving(Bulk& bulk, LocalFiles& files) : bulk_(bulk), files_(files) {}

    void answer(const Json& question) {
        try {
            if (const auto size = question.find("size"); size != question.end()) {
                const auto found = files_.size_of(size->get<std::string>());
                bulk_.link().send(Json{{"size", found ? Json(*found) : Json()}});
            } else if (const auto name = question.find("read"); name != question.end()) {
                send(name->get<std::string>(), question.at("offset").get<std::uint64_t>(),
                     question.at("length").get<std::uint64_t>());
            }
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::lost || e.kind() == ErrorKind::corrupt) throw;
            bulk_.link().send(Json{{"error", protocol::write_error(e)}});  // comes back with what was being done
        }
    }

private:
    void send(const std::string& name, std::uint64_t offset, std::uint64_t length) {
        const int file = files_.handle_of(name);
        while (length > 0 && !bulk_.cancelled()) {
            const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(length, protocol::max_data));
            bulk_.link().send_file(FrameType::in, file, offset, size);
            offset += size;
            length -= size;
        }
    }

    Bulk& bulk_;
    LocalFiles& files_;
};

}  // namespace

runtime::ImageSummary import_over(const ConnectBulk& connect, const oci::ImageName& name, const std::string& name_as,
                                  const ProgressSink& progress, const CancelToken& cancel) {
    const std::string step = "import " + name.text;
    auto files = in_step(step, [&] { return LocalFiles(name.path); });
    Bulk bulk(connect, progress, cancel);
    Serving serving(bulk, files);
    return read_answer([&] {
        bulk.link().send(Json{{"do", "import"},
                              {"image", protocol::write_image_name(name)},
                              {"as", name_as},
                              {"size", files.size() ? Json(*files.size()) : Json()}});
        for (;;) {
            const auto incoming = bulk.next();
            if (!incoming.message) throw Error(ErrorKind::corrupt, step + ": bytes came instead of an answer");
            const auto result = incoming.message->find("result");
            if (result != incoming.message->end()) return protocol::read_image(*result);
            serving.answer(*incoming.message);
        }
    });
}

void export_over(const ConnectBulk& connect, const std::string& name_or_id, const std::string& path,
                 const ProgressSink& progress, const CancelToken& cancel) {
    const auto target = make_export_target(path);
    Bulk bulk(connect, progress, cancel);
    std::string title = name_or_id;
    bool began = false;
    const auto step = [&](auto&& body) {
        try {
            body();
        } catch (Error& e) {
            if (e.os_errno() == ENOSPC) e.with_remedy("free space on the file system of " + path + ", then retry");
            throw e.add_context("export " + title);
        }
    };
    read_answer([&] {
        bulk.link().send(Json{{"do", "export"}, {"image", name_or_id}, {"directory", target->is_directory()}});
        for (;;) {
            const auto incoming = bulk.next();
            if (!incoming.message) {
                if (!began) throw Error(ErrorKind::corrupt, "export " + title + ": bytes came too early");
                step([&] { target->write(incoming.bytes); });
            } else if (const auto whole = incoming.message->find("export"); whole != incoming.message->end()) {
                title = protocol::without_escapes(whole->get<std::string>());
                step([&] { target->begin(); });
            } else if (const auto file = incoming.message->find("file"); file != incoming.message->end()) {
                step([&] { target->file(file->get<std::string>()); });
                began = true;
            } else if (incoming.message->contains("result")) {
                step([&] { target->finish(); });
                return;
            }
        }
    });
}

}  // namespace locald::backends
