#include "backends/agent/run_request.hpp"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "backends/agent/pipe_ends.hpp"
#include "backends/protocol/detached_values.hpp"
#include "core/base/log.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::FrameType;
using protocol::Json;

// A container of a client that is gone gets as long as `container stop` gives.
constexpr auto grace_of_the_abandoned = 10s;
// How long until a client that has left is noticed.
constexpr auto look_at_leaving = 100ms;
// Something outside may hold the end of a pipe that a container gave it; its silence is not waited out for ever.
constexpr auto silence_most = 1s;

host::TerminalSize read_size(const Json& json) {
    return {json.at("rows").get<unsigned>(), json.at("columns").get<unsigned>()};
}

}  // namespace

RunRequest::RunRequest(runtime::ContainerRuntime& runtime, protocol::Multiplexer& link, std::uint32_t stream,
                       const Json& message)
    : Request(runtime, link, stream), message_(message), wants_input_(message.at("stdin").get<bool>()) {
    if (const auto& size = message.at("terminal"); !size.is_null()) terminal_ = read_size(size);
}

RunRequest::~RunRequest() {
    if (ender_.joinable()) ender_.join();
}

void RunRequest::open_ports(int in, int out, int err) {
    const bool stays = terminal_.has_value();
    if (in >= 0) link_.write_to(stream_, FrameType::in, {in, true, stays});
    read_from(FrameType::out, {out, true, stays});
    if (err >= 0) read_from(FrameType::err, {err, true, false});
}

Json RunRequest::work() {
    runtime::Stdio stdio;
    Pipe in, out, err;
    if (terminal_) {
        stdio.mode = runtime::Stdio::Mode::pty;
        stdio.size = *terminal_;
    } else {
        if (wants_input_) in = Pipe::make();
        out = Pipe::make();
        err = Pipe::make();
        stdio.in = in.read();
        stdio.out = out.write();
        stdio.err = err.write();
    }
    // Declared behind the pipes: where the streams are not a process's own, the handle uses our ends of them.
    struct LetGo {
        RunRequest& request;
        ~LetGo() { request.let_go(); }
    };
    const LetGo let_go_at_end{*this};
    auto container = open_handle(stdio);
    const auto close_ends = [&] {
        in.close_read();
        out.close_write();
        err.close_write();
    };
    if (!is_attachment()) close_ends();  // the process has them
    runtime::ContainerHandle* running = container.get();
    if (terminal_) {
        const int master = ::dup(running->stdout_handle());
        if (master < 0) throw_errno(errno, "duplicate the container's terminal");
        open_ports(master, master, -1);
    } else {
        open_ports(in.release_write(), out.release_read(), err.release_read());
    }
    {
        const std::lock_guard lock(mutex_);
        container_ = std::move(container);
    }
    // The client sends input from now on, so there is somebody to take it.
    send(Json{{"started", {{"id", running->id()}, {"pid", running->pid()}, {"warnings", running->warnings()}}}});
    if (abandoned_ && !is_attachment()) end(grace_of_the_abandoned);  // came while it was being started
    const auto status = wait_or_leave(*running);
    if (!status) throw Error(ErrorKind::cancelled, "detached");
    if (is_attachment()) {
        out.close_write();  // all is said
        err.close_write();
    }
    link_.finish_reading(stream_, silence_most);
    wait_read();
    return Json{{"exit", protocol::write_exit(*status)}};
}

std::unique_ptr<runtime::ContainerHandle> RunRequest::open_handle(const runtime::Stdio& stdio) {
    if (message_.at("do") == "run") {
        auto source = protocol::read_source(message_.at("source"));
        source.credentials = credentials(message_);
        return runtime_.run_container(source, protocol::read_options(message_.at("options")), stdio, progress(),
                                      cancel_);
    }
    const std::string id = message_.at("id");
    if (!is_attachment()) return runtime_.exec(id, protocol::read_exec_options(message_.at("how")), stdio);
    runtime::AttachOptions how;
    if (const auto& from = message_.at("from"); !from.is_null()) how.from = from.get<std::uint64_t>();
    if (const auto& place = message_.at("resume"); !place.is_null()) how.resume = protocol::read_place(place);
    if (message_.at("marks").get<bool>()) {
        how.mark = [this](const runtime::OutputPlace& place) { send(Json{{"mark", protocol::write_place(place)}}); };
    }
    return runtime_.attach(id, how, stdio);
}

/// Nothing when the client has left an attachment, which is not the container's end.
std::optional<runtime::ExitStatus> RunRequest::wait_or_leave(runtime::ContainerHandle& container) {
    if (!is_attachment()) return container.wait();
    while (!abandoned_) {
        if (const auto status = container.wait_for(look_at_leaving)) return status;
    }
    return std::nullopt;
}

/// The container has ended: its streams go, its input too, which nobody takes any more, and its handle, once nobody
/// uses it.
void RunRequest::let_go() {
    link_.forget(stream_);
    std::thread ender;
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        ender = std::move(ender_);
    }
    if (ender.joinable()) ender.join();
    const std::lock_guard lock(mutex_);
    container_.reset();
}

void RunRequest::end(std::chrono::milliseconds grace) {
    const std::lock_guard lock(mutex_);
    if (!container_ || ended_ || ender_.joinable()) return;
    ender_ = std::thread([this, grace] {
        try {
            container_->stop(grace);
        } catch (const Error& e) {
            log(LogLevel::debug, e.what());  // whoever waits for it hears the same
        }
    });
}

void RunRequest::abandon() {
    abandoned_ = true;
    Request::abandon();
    if (!is_attachment()) end(grace_of_the_abandoned);
}

void RunRequest::message(const Json& message) {
    const std::string what = message.at("do");
    if (what == "stop") {
        end(protocol::read_milliseconds(message.at("grace")));
        return;
    }
    if (what == "detach") {
        abandon();
        return;
    }
    if (what == "credentials") {
        Request::message(message);
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        if (container_) {
            if (what == "signal") {
                container_->signal(message.at("number").get<int>());
            } else if (what == "resize") {
                container_->resize(read_size(message));
            } else if (what == "drops") {
                send(Json{{"drops", container_->drops(message.at("number").get<int>())}});
            } else if (what == "kill") {
                container_->signal(SIGKILL);
            }
        }
    }
    if (what == "kill" || what == "cancel") Request::abandon();
}

}  // namespace locald::backends
