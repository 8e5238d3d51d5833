#include "backends/agent/request.hpp"

#include "backends/protocol/values.hpp"

namespace locald::backends {

using protocol::Json;

void Request::start() {
    thread_ = std::thread([this] {
        Json last;
        try {
            last = work();
        } catch (const Error& e) {
            last = Json{{"error", protocol::write_error(e)}};
        } catch (const Json::exception& e) {
            last = Json{{"error",
                         protocol::write_error(Error(ErrorKind::corrupt, std::string("read a request: ") + e.what()))}};
        } catch (const std::exception& e) {
            last = Json{{"error", protocol::write_error(Error(ErrorKind::system, e.what()))}};
        }
        try {
            send(last);
        } catch (const Error& e) {  // too large, or not UTF-8
            send(Json{{"error", protocol::write_error(e)}});
        }
        link_.forget(stream_);
        finished_ = true;
    });
}

void Request::join() {
    if (thread_.joinable()) thread_.join();
}

void Request::message(const Json& message) {
    if (message.value("do", "") == "cancel") cancel_.cancel();
}

ProgressSink Request::progress() {
    return [this](const Progress& step) { send(Json{{"progress", protocol::write_progress(step)}}); };
}

}  // namespace locald::backends
