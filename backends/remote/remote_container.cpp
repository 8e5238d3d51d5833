#include "backends/remote/remote_container.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "backends/protocol/detached_values.hpp"
#include "backends/remote/read_answer.hpp"
#include "core/host/handle.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

using protocol::FrameType;
using protocol::Json;
using protocol::Port;
using Mode = runtime::Stdio::Mode;

/// Where bytes go that nobody wants.
Port nowhere() {
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0) throw_errno(errno, "open /dev/null");
    return {null, true, false};
}

}  // namespace

Json attach_request(const std::string& id, const runtime::AttachOptions& how, bool marks) {
    return {{"do", "attach"},
            {"id", id},
            {"from", how.from ? Json(*how.from) : Json()},
            {"resume", how.resume ? protocol::write_place(*how.resume) : Json()},
            {"marks", marks}};
}

/// The multiplexer's ends.
struct RemoteContainer::Ends {
    std::optional<Port> in;
    Port out, err;
    bool has_err = true;
};

RemoteContainer::RemoteContainer(std::shared_ptr<AgentClient> client, Json request, const runtime::Stdio& stdio,
                                 const ProgressSink& progress, const CancelToken& cancel,
                                 std::shared_ptr<OutputWatch> watch, const AgentClient::Other& other)
    : is_attachment_(request.at("do") == "attach"),
      watch_(std::move(watch)),
      client_(std::move(client)),
      stream_(client_->open()) {
    host::Handle unread;  // the end of stdin that nobody has until the request is accepted
    try {
        Ends ends;
        switch (stdio.mode) {
            case Mode::inherit: {
                const auto user = [](int handle) { return handle < 0 ? nowhere() : Port{handle, false, false}; };
                if (stdio.in >= 0) ends.in = Port{stdio.in, false, false};
                ends.out = user(stdio.out);
                if (!watch_ || !watch_->terminal) ends.err = user(stdio.err);
                break;
            }
            case Mode::pipes: {
                const auto in = host::make_pipe(), out = host::make_pipe(), err = host::make_pipe();
                in_ = in[1];
                out_ = out[0];
                err_ = err[0];
                unread.reset(in[0]);
                ends = {Port{in[0]}, Port{out[1]}, Port{err[1]}};
                break;
            }
            case Mode::pty: {
                const auto pair = host::make_socket_pair();
                in_ = out_ = err_ = pair[0];
                ends = {Port{pair[1]}, Port{pair[1]}, {}, false};
                break;
            }
        }
        const bool is_terminal = stdio.mode == Mode::pty || (watch_ && watch_->terminal);
        if (watch_) {
            ends.out.written = &watch_->out_written;
            ends.err.written = &watch_->err_written;
            if (is_terminal) ends.has_err = false;
        }
        client_->write_to(*stream_, FrameType::out, ends.out);
        if (ends.has_err) client_->write_to(*stream_, FrameType::err, ends.err);
        request["new"] = true;
        request["stdin"] = ends.in.has_value();
        request["terminal"] = nullptr;
        if (is_terminal) {
            const auto size = watch_ ? watch_->terminal.value_or(stdio.size) : stdio.size;
            request["terminal"] = Json{{"rows", size.rows}, {"columns", size.columns}};
        }
        client_->send(*stream_, request);
        const auto started = client_->wait_for(*stream_, "started", progress, cancel,
                                               [&](const AgentStream& stream, const Json& message) {
                                                   take_mark(message);
                                                   if (other) other(stream, message);
                                               });
        read_answer([&] {
            id_ = started.at("id").get<std::string>();
            pid_ = started.at("pid").get<int>();
            for (const auto& warning : started.at("warnings")) {
                warnings_.push_back(protocol::without_escapes(warning.get<std::string>()));
            }
        });
        if (ends.in) client_->link().read_from(stream_->number(), FrameType::in, *ends.in);
        (void)unread.release();
    } catch (...) {
        client_->close(*stream_);
        close_handles();
        throw;
    }
}

void RemoteContainer::take_mark(const Json& message) const {
    const auto mark = message.find("mark");
    if (watch_ && watch_->mark && mark != message.end()) watch_->mark(protocol::read_place(*mark));
}

RemoteContainer::~RemoteContainer() {
    try {
        bool ended = false;
        {
            const std::lock_guard lock(mutex_);
            ended = status_ || error_;
        }
        if (!ended && is_attachment_) {
            client_->send(*stream_, Json{{"do", "detach"}});
        } else if (!ended) {
            client_->send(*stream_, Json{{"do", "kill"}});
            wait();
        }
    } catch (const Error&) {  // lost: the agent ends it
    }
    client_->close(*stream_);
    close_handles();
}

void RemoteContainer::keep(std::shared_ptr<PortForwards> forwards) {
    forwards_ = std::move(forwards);
    if (!forwards_) return;
    warnings_.insert(warnings_.end(), forwards_->warnings().begin(), forwards_->warnings().end());
}

void RemoteContainer::close_handles() noexcept {
    if (in_ >= 0) ::close(in_);
    if (out_ >= 0 && out_ != in_) ::close(out_);
    if (err_ >= 0 && err_ != in_) ::close(err_);
    in_ = out_ = err_ = -1;
}

void RemoteContainer::close_stdin() {
    if (in_ >= 0 && in_ != out_) ::close(std::exchange(in_, -1));
}

void RemoteContainer::resize(host::TerminalSize size) {
    client_->send(*stream_, Json{{"do", "resize"}, {"rows", size.rows}, {"columns", size.columns}});
}

void RemoteContainer::signal(int number) { client_->send(*stream_, Json{{"do", "signal"}, {"number", number}}); }

bool RemoteContainer::drops(int number) {
    client_->send(*stream_, Json{{"do", "drops"}, {"number", number}});
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds answer_most(10000);
    const auto end = Clock::now() + answer_most;
    const std::lock_guard lock(mutex_);
    while (!status_ && !error_ && Clock::now() < end) {
        const auto message = take_message(answer_most);
        if (!message) continue;
        if (const auto drops = message->find("drops"); drops != message->end())
            return drops->is_boolean() && drops->get<bool>();
    }
    return false;  // it has ended, and wait() says how
}

runtime::ExitStatus RemoteContainer::stop(std::chrono::milliseconds grace) {
    client_->send(*stream_, Json{{"do", "stop"}, {"grace", protocol::write_milliseconds(grace)}});
    return wait();
}

std::optional<Json> RemoteContainer::take_message(std::chrono::milliseconds most) {
    try {
        auto message = stream_->next(most);
        if (!message) return std::nullopt;
        if (const auto error = message->find("error"); error != message->end()) {
            error_ = client_->error_of(*error);
        } else if (const auto exit = message->find("exit"); exit != message->end()) {
            status_ = protocol::read_exit(*exit);
        } else {
            take_mark(*message);
        }
        return message;
    } catch (const Json::exception& e) {
        error_.emplace(ErrorKind::corrupt, "read the agent's answer: " + std::string(e.what()));
    } catch (Error& e) {
        error_ = e.add_context("wait for container " + id_)
                     .with_remedy(is_attachment_ ? "see what became of it: locald container ls -a"
                                                 : "its exit status is not known; the agent there stops it once it "
                                                   "sees that nobody listens");
    }
    return std::nullopt;
}

std::optional<runtime::ExitStatus> RemoteContainer::take_end(std::optional<std::chrono::milliseconds> timeout) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds at_once_most(1000);
    const auto begin = Clock::now();
    const std::lock_guard lock(mutex_);
    while (!status_ && !error_) {
        auto most = at_once_most;
        if (timeout) {
            const auto spent = std::chrono::floor<std::chrono::milliseconds>(Clock::now() - begin);
            if (spent > *timeout) return std::nullopt;
            most = std::min(most, *timeout - spent);
        }
        if (!take_message(most) && timeout && Clock::now() - begin >= *timeout) return std::nullopt;
    }
    // All that it said is written before its end is told.
    if (status_) {
        stream_->wait_written();
        return status_;
    }
    throw error_.value_or(Error(ErrorKind::lost, "wait for container " + id_ + ": its end is not known"));
}

runtime::ExitStatus RemoteContainer::wait() {
    if (const auto status = take_end(std::nullopt)) return *status;
    throw Error(ErrorKind::lost, "wait for container " + id_ + ": its end is not known");
}

std::optional<runtime::ExitStatus> RemoteContainer::wait_for(std::chrono::milliseconds timeout) {
    return take_end(timeout);
}

}  // namespace locald::backends
