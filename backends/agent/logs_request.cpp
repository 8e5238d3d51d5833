#include "backends/agent/logs_request.hpp"

#include "backends/agent/pipe_ends.hpp"
#include "backends/protocol/detached_values.hpp"

namespace locald::backends {

using protocol::FrameType;
using protocol::Json;

LogsRequest::LogsRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
                         const Json& message)
    : Request(runtime, link, stream),
      id_(message.at("id").get<std::string>()),
      options_(protocol::read_log_options(message.at("options"))) {}

Json LogsRequest::work() {
    auto out = Pipe::make();
    auto err = Pipe::make();
    read_from(FrameType::out, {out.release_read(), true, false});
    read_from(FrameType::err, {err.release_read(), true, false});
    auto options = options_;
    if (options.follow) {
        options.mark = [this](const runtime::OutputPlace& place) {
            send(Json{{"mark", protocol::write_place(place)}});
        };
    }
    runtime_.logs(id_, options, out.write(), err.write(), cancel_);
    out.close_write();
    err.close_write();
    wait_read();
    return Json{{"result", nullptr}};
}

}  // namespace locald::backends
