#include "backends/linux/detached/keeper.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "backends/agent/agent.hpp"
#include "backends/linux/container_dir.hpp"
#include "backends/linux/detached/attachment.hpp"
#include "core/base/log.hpp"
#include "core/base/time.hpp"
#include "core/host/pipe.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Status = runtime::ContainerInfo::Status;

// A cancel token cannot wake anybody, so it is looked at.
constexpr auto look_at_cancel = 100ms;

std::string shown_image(const bundle::Source& source) { return source.image ? source.image->text : source.rootfs; }

}  // namespace

Keeper::Keeper(std::unique_ptr<runtime::ContainerRuntime> runtime, const std::string& data_directory,
               std::string state_directory)
    : runtime_(std::move(runtime)),
      records_(data_directory),
      bundle_directory_(data_directory + "/containers"),
      state_directory_(std::move(state_directory)) {}

Keeper::~Keeper() {
    for (auto& connection : connections_) {
        if (connection.thread.joinable()) connection.thread.join();
    }
}

void Keeper::serve_connection(int handle) {
    const std::lock_guard lock(mutex_);
    forget_finished();
    auto& connection = connections_.emplace_back();
    connection.thread = std::thread([this, handle, &connection] {
        try {
            serve_agent(*this, handle, handle);
        } catch (const std::exception& e) {
            log(LogLevel::error, e.what());
        }
        const std::lock_guard inner(mutex_);
        connection.done = true;
    });
}

void Keeper::forget_finished() {
    for (auto it = connections_.begin(); it != connections_.end();) {
        if (it->done) {
            it->thread.join();
            it = connections_.erase(it);
        } else {
            ++it;
        }
    }
}

void Keeper::run(int link) {
    std::thread starter([this, link] {
        try {
            serve_agent(*this, link, link);
        } catch (const std::exception& e) {
            log(LogLevel::error, e.what());
        }
        const std::lock_guard lock(mutex_);
        starter_gone_ = true;
        changed_.notify_all();
    });
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stage_ == Stage::running || (starter_gone_ && stage_ == Stage::idle); });
    }
    if (container_) see_through();
    starter.join();
}

std::unique_ptr<runtime::ContainerHandle> Keeper::start(const bundle::Source& source, const bundle::RunOptions& options,
                                                        const runtime::DetachOptions& how, const ProgressSink& progress,
                                                        const CancelToken& cancel) {
    runtime::Stdio stdio;
    posix::Pipe in, out, err;
    if (options.tty) {
        stdio.mode = runtime::Stdio::Mode::pty;
    } else {
        if (how.open_stdin) in = posix::make_pipe();
        out = posix::make_pipe();
        err = posix::make_pipe();
        stdio.in = in.read.get();  // -1: empty
        stdio.out = out.write.get();
        stdio.err = err.write.get();
    }
    auto container = runtime_->run_container(source, options, stdio, progress, cancel);
    if (options.tty) {
        const auto copy = [&] { return posix::UniqueFd(::fcntl(container->stdout_handle(), F_DUPFD_CLOEXEC, 3)); };
        streams_.out = copy();
        if (how.open_stdin) streams_.in = copy();
    } else {
        streams_ = {std::move(in.write), std::move(out.read), std::move(err.read)};
    }
    if (streams_.in) host::set_non_blocking(streams_.in.get());
    return container;
}

runtime::DetachedStart Keeper::run_detached(const bundle::Source& source, const bundle::RunOptions& options,
                                            const runtime::DetachOptions& how, const ProgressSink& progress,
                                            const CancelToken& cancel) {
    {
        const std::lock_guard lock(mutex_);
        if (stage_ != Stage::idle) throw Error(ErrorKind::exists, "run a container: this keeper has one already");
        stage_ = Stage::starting;
    }
    try {
        bundle::RunOptions named = options;
        if (named.id.empty()) named.id = make_container_id();
        auto& info = record_.info;
        info.id = named.id;
        info.image = shown_image(source);
        info.command = options.command;
        info.created = rfc3339(now_nanoseconds());
        info.tty = options.tty;
        info.open_stdin = how.open_stdin;
        info.remove = how.remove;
        record_.state_directory = state_directory_;
        record_.socket = state_directory_ + "/.keepers/" + make_container_id().substr(0, 16);
        own_ = records_.create(named.id, record_);
        // The name begins with a dot, so that it is no container's.
        socket_ = std::make_unique<KeeperSocket>(state_directory_ + "/.keepers",
                                                 record_.socket.substr(record_.socket.rfind('/') + 1));
        hub_ = std::make_unique<OutputHub>(own_->path());
        auto container = start(source, named, how, progress, cancel);
        info.status = Status::running;
        info.started = rfc3339(now_nanoseconds());
        info.pid = container->pid();
        const auto spec = runtime_->inspect_bundle(bundle_directory_ + "/" + named.id).spec;
        if (spec.process) info.command = spec.process->args;
        own_->write(record_);
        const std::lock_guard lock(mutex_);
        container_ = std::move(container);
        stage_ = Stage::running;
        changed_.notify_all();
        return {named.id, container_->warnings()};
    } catch (...) {
        socket_.reset();
        if (std::exchange(own_, std::nullopt)) records_.remove(record_.info.id);
        const std::lock_guard lock(mutex_);
        stage_ = Stage::idle;
        changed_.notify_all();
        throw;
    }
}

void Keeper::see_through() {
    if (::chdir("/") != 0) log(LogLevel::debug, "go to /: " + errno_text(errno));
    socket_->serve([this](int handle) { serve_connection(handle); });
    OutputPump pump(*hub_);
    EndRecord end;
    std::thread waiter([&] {
        try {
            end.status = container_->wait();
        } catch (const Error& e) {
            end.error = e;
        }
        pump.ended();
    });
    pump.run(streams_.out.get(), streams_.err.get(), record_.info.tty);
    waiter.join();
    end.ended = rfc3339(now_nanoseconds());
    end.output = hub_->end();
    record_end(std::move(end));
}

void Keeper::record_end(EndRecord end) {
    socket_->close();
    try {
        if (own_) own_->write_end(end);
        if (record_.info.remove) records_.remove(record_.info.id);
    } catch (const Error& e) {
        log(LogLevel::error, e.what());  // found as lost
    }
    const std::lock_guard lock(mutex_);
    end_ = std::move(end);
    stage_ = Stage::ended;
    changed_.notify_all();
}

runtime::ExitStatus Keeper::wait(const std::string&, const CancelToken& cancel) {
    for (;; cancel.check()) {
        if (const auto status = await_end(look_at_cancel)) return *status;
    }
}

void Keeper::stop(const std::string&, std::chrono::milliseconds grace) {
    {
        const std::lock_guard lock(mutex_);
        if (!container_) throw Error(ErrorKind::invalid, "stop the container: it does not run");
    }
    try {
        container_->stop(grace);
    } catch (const Error& e) {
        log(LogLevel::debug, e.what());  // recorded with the end
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stage_ == Stage::ended; });
}

std::optional<runtime::ExitStatus> Keeper::await_end(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, most, [this] { return stage_ == Stage::ended; })) return std::nullopt;
    if (end_.error) throw Error(*end_.error);
    return end_.status;
}

std::unique_ptr<runtime::ContainerHandle> Keeper::attach(const std::string&, const runtime::AttachOptions& how,
                                                         const runtime::Stdio& stdio) {
    {
        const std::lock_guard lock(mutex_);
        if (stage_ != Stage::running) throw Error(ErrorKind::invalid, "it is not running");
    }
    return std::make_unique<Attachment>(
        KeptContainer{*container_, *hub_, streams_.in.get(),
                      [this](std::chrono::milliseconds most) { return await_end(most); }},
        how, stdio);
}

namespace {

[[noreturn]] void not_here() {
    throw Error(ErrorKind::unsupported, "a keeper has one container and does nothing else");
}

}  // namespace

runtime::ProbeReport Keeper::probe() { not_here(); }
runtime::Images& Keeper::images() { not_here(); }
bundle::ContainerBundle Keeper::prepare_bundle(const bundle::Source&, const bundle::RunOptions&, const std::string&,
                                               const ProgressSink&, const CancelToken&) {
    not_here();
}
bundle::ContainerBundle Keeper::inspect_bundle(const std::string&) { not_here(); }
std::unique_ptr<runtime::ContainerHandle> Keeper::run_container(const bundle::Source&, const bundle::RunOptions&,
                                                                const runtime::Stdio&, const ProgressSink&,
                                                                const CancelToken&) {
    not_here();
}
std::vector<oci::State> Keeper::list() { not_here(); }
oci::State Keeper::state(const std::string&) { not_here(); }
void Keeper::kill(const std::string&, int) { not_here(); }
void Keeper::remove(const std::string&, bool) { not_here(); }

}  // namespace locald::backends
