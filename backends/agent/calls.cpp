#include <array>
#include <functional>
#include <string>
#include <string_view>

#include "backends/agent/logs_request.hpp"
#include "backends/agent/mount_check.hpp"
#include "backends/agent/request.hpp"
#include "backends/agent/run_request.hpp"
#include "backends/protocol/detached_values.hpp"
#include "core/oci/reference.hpp"

namespace locald::backends {

namespace {

using protocol::Json;

/// What a call may use beside its own message.
struct CallContext {
    runtime::ContainerRuntime& runtime;
    const Json& message;
    const ProgressSink& progress;
    const CancelToken& cancel;
    const std::function<CredentialSource(const Json&)>& credentials;

    std::string text(const char* name) const { return message.at(name).get<std::string>(); }
    bundle::Source source() const {
        auto source = protocol::read_source(message.at("source"));
        source.credentials = credentials(message);
        return source;
    }
};

struct CallEntry {
    std::string_view name;
    Json (*call)(const CallContext&);
};

Json list(const CallContext& with) {
    auto all = Json::array();
    for (const auto& state : with.runtime.list()) all.push_back(oci::to_json(state, false));
    return all;
}

Json pull(const CallContext& with) {
    runtime::PullOptions options{{}, with.credentials(with.message)};
    if (const auto wanted = with.text("platform"); !wanted.empty()) options.platform = oci::parse_platform(wanted);
    const auto name = oci::parse_image_name(with.text("name"));
    return protocol::write_image(with.runtime.images().pull(name, options, with.progress, with.cancel));
}

/// Of what is no file of the client's.
Json import(const CallContext& with) {
    const auto name = oci::parse_image_name(with.text("name"));
    return protocol::write_image(with.runtime.images().import(name, with.text("as"), with.progress, with.cancel));
}

Json prepare_bundle(const CallContext& with) {
    return protocol::write_bundle(with.runtime.prepare_bundle(with.source(),
                                                              protocol::read_options(with.message.at("options")),
                                                              with.text("destination"), with.progress, with.cancel));
}

Json run_detached(const CallContext& with) {
    return protocol::write_detached_start(
        with.runtime.run_detached(with.source(), protocol::read_options(with.message.at("options")),
                                  protocol::read_detach_options(with.message.at("how")), with.progress, with.cancel));
}

Json containers(const CallContext& with) {
    auto all = Json::array();
    for (const auto& one : with.runtime.containers()) all.push_back(protocol::write_container(one));
    return all;
}

constexpr std::array calls{
    CallEntry{"probe", [](const CallContext& with) { return protocol::write_probe(with.runtime.probe()); }},
    CallEntry{"list", list},
    CallEntry{"state",
              [](const CallContext& with) { return Json(oci::to_json(with.runtime.state(with.text("id")), false)); }},
    CallEntry{"kill",
              [](const CallContext& with) {
                  with.runtime.kill(with.text("id"), with.message.at("signal").get<int>());
                  return Json();
              }},
    CallEntry{"remove",
              [](const CallContext& with) {
                  with.runtime.remove(with.text("id"), with.message.at("force").get<bool>());
                  return Json();
              }},
    CallEntry{"run detached", run_detached},
    CallEntry{"containers", containers},
    CallEntry{
        "container",
        [](const CallContext& with) { return protocol::write_container(with.runtime.container(with.text("id"))); }},
    CallEntry{
        "wait",
        [](const CallContext& with) { return protocol::write_exit(with.runtime.wait(with.text("id"), with.cancel)); }},
    CallEntry{"stop",
              [](const CallContext& with) {
                  with.runtime.stop(with.text("id"), protocol::read_milliseconds(with.message.at("grace")));
                  return Json();
              }},
    CallEntry{"exec detached",
              [](const CallContext& with) {
                  with.runtime.exec(with.text("id"), protocol::read_exec_options(with.message.at("how")), {});
                  return Json();
              }},
    CallEntry{"image pull", pull},
    CallEntry{"image import", import},
    CallEntry{"image list",
              [](const CallContext& with) { return protocol::write_images(with.runtime.images().list()); }},
    CallEntry{"image inspect",
              [](const CallContext& with) { return Json(with.runtime.images().inspect(with.text("image"))); }},
    CallEntry{"image remove",
              [](const CallContext& with) {
                  return protocol::write_image(with.runtime.images().remove(with.text("image")));
              }},
    CallEntry{"mount check", [](const CallContext& with) { return check_mounts(with.message.at("paths")); }},
    CallEntry{"bundle prepare", prepare_bundle},
    CallEntry{"bundle inspect",
              [](const CallContext& with) {
                  return protocol::write_bundle(with.runtime.inspect_bundle(with.text("directory")));
              }},
};

/// A call with one answer.
class CallRequest final : public Request {
public:
    CallRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
                const CallEntry& entry, Json message)
        : Request(runtime, link, stream), entry_(entry), message_(std::move(message)) {}

protected:
    Json work() override {
        const auto sink = progress();
        const std::function asked = [this](const Json& offer) { return credentials(offer); };
        return Json{{"result", entry_.call({runtime_, message_, sink, cancel_, asked})}};
    }

private:
    const CallEntry& entry_;
    const Json message_;
};

}  // namespace

std::unique_ptr<Request> make_request(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link,
                                      std::uint32_t stream, const Json& message) {
    const std::string what = message.value("do", "");
    if (what == "run" || what == "exec" || what == "attach") {
        return std::make_unique<RunRequest>(runtime, link, stream, message);
    }
    if (what == "logs") return std::make_unique<LogsRequest>(runtime, link, stream, message);
    for (const auto& entry : calls) {
        if (entry.name == what) return std::make_unique<CallRequest>(runtime, link, stream, entry, message);
    }
    throw Error(ErrorKind::unsupported,
                "this locald does not know the request '" + protocol::without_escapes(what) + "'");
}

}  // namespace locald::backends
