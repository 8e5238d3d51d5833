#include "backends/remote/agent_client.hpp"

#include "backends/remote/bad_agent.hpp"
#include "core/base/version.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::FrameType;
using protocol::Json;

// A cancel token cannot wake anybody, so it is looked at.
constexpr auto look_at_cancel = 20ms;

}  // namespace

AgentClient::Hello AgentClient::read_hello(const Json& json) {
    try {
        Hello hello;
        hello.protocol = json.at("protocol").get<unsigned>();
        hello.version = protocol::without_escapes(json.at("version").get<std::string>());
        hello.boot = json.value("boot", "");
        return hello;
    } catch (const Json::exception&) {
        throw Error(ErrorKind::corrupt, "its greeting is not that of a locald agent");
    }
}

std::optional<Json> AgentStream::next(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [this] { return !messages_.empty() || lost_; });
    if (!messages_.empty()) {
        auto message = std::move(messages_.front());
        messages_.pop_front();
        return message;
    }
    if (lost_) throw Error(*lost_);
    return std::nullopt;
}

AgentClient::AgentClient(int in, int out, std::string host, const AgentTiming& timing)
    : host_(std::move(host)), link_(in, out), timing_(timing) {
    thread_ = std::thread([this] {
        link_.run({[this](std::uint32_t stream, const Json& message) { take(stream, message); },
                   [this](std::uint32_t stream, FrameType type) {
                       const std::lock_guard lock(mutex_);
                       const auto found = streams_.find(stream);
                       if (found != streams_.end()) found->second->writers_.closed(type);
                   },
                   [this](const Error& why) { take_lost(why); }});
    });
    std::unique_lock lock(mutex_);
    const bool answered = greeted_.wait_for(lock, timing.greeting, [this] { return has_hello_ || lost_; });
    if (has_hello_ && hello_.protocol == protocol::version) {
        link_.send(0, Json{{"lease", timing.lease.count()}});
        link_.expect_word_every(timing.silence);
        pinger_ = std::thread([this] { ping(); });
        return;
    }
    Error error(ErrorKind::unavailable, "wait for the agent on " + host_ + ": it said nothing for " +
                                            std::to_string(timing.greeting / 1s) + " seconds");
    if (answered && !has_hello_ && lost_) error = *lost_;
    if (has_hello_) {
        error = Error(ErrorKind::unsupported, "use the agent on " + host_ + ": it is locald " + hello_.version +
                                                  " with protocol " + std::to_string(hello_.protocol) + ", this is " +
                                                  std::string(version) + " with " + std::to_string(protocol::version))
                    .with_remedy(
                        "install the same version of locald on both sides; a connection that was kept since "
                        "before an update ends with `locald host disconnect`");
    }
    lock.unlock();
    link_.stop();
    thread_.join();
    throw error;
}

AgentClient::~AgentClient() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    ending_.notify_all();
    pinger_.join();
    link_.stop(1s);
    thread_.join();
}

void AgentClient::ping() {
    std::unique_lock lock(mutex_);
    while (!ending_.wait_for(lock, timing_.ping, [this] { return ends_; })) {
        link_.send(0, Json{{"ping", true}});
    }
}

void AgentClient::take(std::uint32_t stream, const Json& message) {
    const std::lock_guard lock(mutex_);
    if (stream == 0) {
        if (const auto hello = message.find("hello"); hello != message.end() && !has_hello_) {
            try {
                hello_ = read_hello(*hello);
                has_hello_ = true;
            } catch (Error& e) {
                lost_ = e.add_context("use the agent on " + host_);
            }
            greeted_.notify_all();
        }
        if (const auto why = message.find("lost"); why != message.end()) {
            try {
                set_lost(protocol::read_error(*why));
            } catch (const Error& e) {
                set_lost(Error(e).add_context("use the agent on " + host_));
            }
        }
        if (const auto status = message.find("status"); status != message.end()) {
            status_ = *status;
            greeted_.notify_all();
        }
        return;
    }
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    const std::lock_guard inner(found->second->mutex_);
    found->second->messages_.push_back(message);
    found->second->changed_.notify_all();
}

void AgentClient::take_lost(const Error& why) {
    const std::lock_guard lock(mutex_);
    if (!lost_) set_lost(explain_link_end(why, host_));
}

void AgentClient::set_lost(const Error& error) {
    lost_ = error;
    for (auto& [number, stream] : streams_) {
        const std::lock_guard inner(stream->mutex_);
        stream->lost_ = error;
        stream->changed_.notify_all();
    }
    greeted_.notify_all();
}

bool AgentClient::lost() {
    const std::lock_guard lock(mutex_);
    return lost_.has_value();
}

std::optional<Json> AgentClient::holder_status(std::chrono::milliseconds most) {
    link_.send(0, Json{{"status", true}});
    std::unique_lock lock(mutex_);
    greeted_.wait_for(lock, most, [this] { return status_ || lost_; });
    return status_;
}

std::shared_ptr<AgentStream> AgentClient::open() {
    auto stream = std::make_shared<AgentStream>();
    const std::lock_guard lock(mutex_);
    stream->number_ = next_++;
    stream->lost_ = lost_;
    streams_[stream->number_] = stream;
    return stream;
}

void AgentClient::write_to(AgentStream& stream, FrameType type, protocol::Port port) {
    stream.writers_.opened(type);
    link_.write_to(stream.number(), type, port);
}

void AgentClient::close(const AgentStream& stream) {
    {
        const std::lock_guard lock(mutex_);
        streams_.erase(stream.number());
    }
    link_.forget(stream.number());
}

Error AgentClient::error_of(const Json& said) const {
    auto error = protocol::read_error(said);
    if (!elsewhere_) return error;
    switch (error.kind()) {
        case ErrorKind::denied:
        case ErrorKind::unsupported:
        case ErrorKind::no_space:
        case ErrorKind::system:
            return error.add_context("on " + host_);
        default:
            return error;
    }
}

Json AgentClient::wait_for(AgentStream& stream, std::string_view wanted, const ProgressSink& progress,
                           const CancelToken& cancel, const Other& other) {
    bool asked = false;
    for (;;) {
        if (cancel.cancelled() && !std::exchange(asked, true)) send(stream, Json{{"do", "cancel"}});
        const auto message = stream.next(look_at_cancel);
        if (!message) continue;
        if (const auto error = message->find("error"); error != message->end()) throw error_of(*error);
        if (const auto step = message->find("progress"); step != message->end()) {
            if (progress) progress(protocol::read_progress(*step));
        } else if (const auto found = message->find(std::string(wanted)); found != message->end()) {
            return *found;
        } else if (other) {
            other(stream, *message);
        }
    }
}

Json AgentClient::ask(Json message, CallOutput* output, const ProgressSink& progress, const CancelToken& cancel,
                      const Other& other) {
    const auto stream = open();
    struct Closing {
        AgentClient& client;
        AgentStream& stream;
        ~Closing() { client.close(stream); }
    };
    const Closing closing{*this, *stream};
    if (output != nullptr) {
        write_to(*stream, FrameType::out, {output->out, false, false, &output->out_written});
        write_to(*stream, FrameType::err, {output->err, false, false, &output->err_written});
    }
    message["new"] = true;
    send(*stream, message);
    try {
        auto result = wait_for(*stream, "result", progress, cancel, other);
        stream->wait_written();
        return result;
    } catch (const Error&) {
        if (lost()) stream->wait_written();  // what came before is still written
        throw;
    }
}

Json AgentClient::call(Json message, const ProgressSink& progress, const CancelToken& cancel, const Other& other) {
    return ask(std::move(message), nullptr, progress, cancel, other);
}

void AgentClient::call_with_output(Json message, CallOutput& output, const CancelToken& cancel) {
    ask(std::move(message), &output, {}, cancel, [&output](const AgentStream&, const Json& said) {
        if (output.other) output.other(said);
    });
}

}  // namespace locald::backends
