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

void LogsRequest::closed(FrameType type) {
    const std::lock_guard lock(mutex_);
    open_.erase(type);
    changed_.notify_all();
}

Json LogsRequest::work() {
    auto out = Pipe::make();
    auto err = Pipe::make();
    open_ = {FrameType::out, FrameType::err};
    link_.read_from(stream_, FrameType::out, {out.release_read(), true, false});
    link_.read_from(stream_, FrameType::err, {err.release_read(), true, false});
    runtime_.logs(id_, options_, out.write(), err.write(), cancel_);
    out.close_write();
    err.close_write();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_.empty(); });
    return Json{{"result", nullptr}};
}

}  // namespace locald::backends
