#include "backends/remote/followed_attachment.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "backends/protocol/detached_values.hpp"
#include "core/base/log.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::Json;
using Mode = runtime::Stdio::Mode;

// Both streams within a line that is shown: the log prints on as an attachment does.
constexpr unsigned as_it_is = 15;

}  // namespace

FollowedAttachment::FollowedAttachment(Connect connect, std::chrono::milliseconds most, std::string id,
                                       runtime::AttachOptions how, const runtime::Stdio& stdio)
    : connect_(std::move(connect)), most_(most), id_(std::move(id)), how_(std::move(how)), stdio_(stdio) {
    if (stdio.mode == Mode::pty) {
        const auto ends = host::make_socket_pair();
        near_ = ends[0];
        far_ = ends[1];
        terminal_ = stdio.size;
        stdio_ = {};
        stdio_.in = stdio_.out = far_;
        stdio_.err = -1;
    }
    try {
        client_ = connect_();
        inner_ = attach(client_);
    } catch (...) {
        end_output();
        throw;
    }
    pid_ = inner_->pid();
    warnings_ = inner_->warnings();
}

FollowedAttachment::~FollowedAttachment() {
    inner_.reset();
    if (near_ >= 0) ::close(near_);
    if (far_ >= 0) ::close(far_);
}

std::shared_ptr<RemoteContainer> FollowedAttachment::inner() const {
    const std::lock_guard lock(mutex_);
    return inner_;
}

std::shared_ptr<RemoteContainer> FollowedAttachment::attach(const std::shared_ptr<AgentClient>& client) {
    watch_ = std::make_shared<OutputWatch>();
    watch_->mark = [this, watch = watch_.get()](const runtime::OutputPlace& place) {
        const std::lock_guard lock(track_mutex_);
        track_.mark(place, watch->out_written, watch->err_written);
    };
    {
        const std::lock_guard lock(mutex_);
        watch_->terminal = terminal_;
    }
    return std::make_shared<RemoteContainer>(client, attach_request(id_, how_, true), stdio_, ProgressSink{},
                                             CancelToken{}, watch_);
}

std::optional<runtime::ExitStatus> FollowedAttachment::wait_for(std::chrono::milliseconds timeout) {
    if (status_) return status_;
    if (const auto container = inner()) {
        try {
            status_ = container->wait_for(timeout);
            if (status_) end_output();
        } catch (const Error& e) {
            if (e.kind() != ErrorKind::lost || !client_->lost()) {
                end_output();
                throw;
            }
            lose(e);
        }
        return status_;
    }
    const auto now = Clock::now();
    const auto next = next_try_.value_or(now);
    if (now < next) {
        std::this_thread::sleep_for(std::min<Clock::duration>(timeout, next - now));
    } else {
        try_again();
    }
    return status_;
}

runtime::ExitStatus FollowedAttachment::wait() {
    for (;;) {
        if (const auto status = wait_for(1s)) return *status;
    }
}

void FollowedAttachment::lose(const Error& why) {
    const auto container = inner();
    container->wait_written();
    {
        const std::lock_guard lock(track_mutex_);
        how_.resume = track_.end(watch_->out_written, watch_->err_written);
    }
    {
        const std::lock_guard lock(mutex_);
        inner_.reset();
    }
    log(LogLevel::warning, why.message() + "; connecting again");
    backoff_ = {};
    next_try_ = Clock::now();
    give_up_ = Clock::now() + most_;
}

void FollowedAttachment::try_again() {
    const auto boot = client_->boot();
    try {
        client_ = connect_();
        if (client_->boot() != boot) {
            end_output();
            throw Error(ErrorKind::lost, "go on with container " + id_ + ": " + told_as_started_anew(*client_));
        }
        std::shared_ptr<RemoteContainer> container;
        try {
            container = attach(client_);
        } catch (const Error& e) {
            if (e.kind() != ErrorKind::invalid) throw;
            return take_rest(*client_);  // it has ended meanwhile
        }
        const std::lock_guard lock(mutex_);
        inner_ = container;
        for (const int number : std::exchange(signals_, {})) inner_->signal(number);
    } catch (const Error& e) {
        next_try_ = Clock::now() + backoff_.next();
        if (may_pass(e) && client_->boot() == boot && next_try_ < give_up_) return;
        end_output();
        throw;
    }
}

/// Of a container that has ended: what is in its log, and its exit status.
void FollowedAttachment::take_rest(AgentClient& client) {
    CallOutput output;
    output.out = stdio_.out;
    output.err = stdio_.err >= 0 ? stdio_.err : stdio_.out;
    if (how_.resume && output.out >= 0) {
        runtime::LogOptions options;
        options.resume = how_.resume;
        options.resume->lines = as_it_is;
        client.call_with_output({{"do", "logs"}, {"id", id_}, {"options", protocol::write_log_options(options)}},
                                output, {});
    }
    status_ = protocol::read_exit(client.call({{"do", "wait"}, {"id", id_}}));
    end_output();
}

/// Whoever reads a terminal of ours sees its end.
void FollowedAttachment::end_output() noexcept {
    if (far_ >= 0) ::shutdown(far_, SHUT_WR);
}

void FollowedAttachment::resize(host::TerminalSize size) {
    const std::lock_guard lock(mutex_);
    if (terminal_) terminal_ = size;
    if (inner_) inner_->resize(size);
}

void FollowedAttachment::signal(int number) {
    const std::lock_guard lock(mutex_);
    if (inner_) {
        inner_->signal(number);
    } else {
        signals_.push_back(number);
    }
}

bool FollowedAttachment::drops(int number) {
    const auto container = inner();
    return container && container->drops(number);
}

runtime::ExitStatus FollowedAttachment::stop(std::chrono::milliseconds grace) {
    if (const auto container = inner()) return container->stop(grace);
    throw Error(ErrorKind::lost, "stop container " + id_ + ": there is no connection");
}

}  // namespace locald::backends
