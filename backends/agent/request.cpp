#include "backends/agent/request.hpp"

#include "backends/protocol/values.hpp"

namespace locald::backends {

using protocol::Json;

Json caught_error() {
    const auto message = [](const Error& error) { return Json{{"error", protocol::write_error(error)}}; };
    try {
        throw;
    } catch (const Error& e) {
        return message(e);
    } catch (const Json::exception& e) {
        return message(Error(ErrorKind::corrupt, std::string("read a request: ") + e.what()));
    } catch (const std::exception& e) {
        return message(Error(ErrorKind::system, e.what()));
    }
}

void Request::start() {
    thread_ = std::thread([this] {
        Json last;
        try {
            last = work();
        } catch (const std::exception&) {
            last = caught_error();
        }
        try {
            send(last);
        } catch (const Error&) {  // too large, or not UTF-8
            send(caught_error());
        }
        link_.forget(stream_);
        finished_ = true;
    });
}

void Request::join() {
    if (thread_.joinable()) thread_.join();
}

void Request::message(const Json& message) {
    const std::string what = message.value("do", "");
    if (what == "cancel") cancel_.cancel();
    if (what == "credentials") question_.answered(message);
}

CredentialSource Request::credentials(const Json& offer) {
    const auto& places = offer.at("credentials");
    if (places.is_null()) return {};
    return {protocol::without_escapes(places.get<std::string>()), [this](std::string_view, std::string_view) {
                return question_.ask([this](const Json& message) { send(message); }, cancel_);
            }};
}

void Request::read_from(protocol::FrameType type, protocol::Port port) {
    readers_.opened(type);
    link_.read_from(stream_, type, port);
}

ProgressSink Request::progress() {
    return [this](const Progress& step) { send(Json{{"progress", protocol::write_progress(step)}}); };
}

}  // namespace locald::backends
