#include "core/runtime/process_runtime.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "core/base/error.hpp"
#include "core/host/stream.hpp"

namespace locald::runtime {

namespace {

constexpr std::chrono::milliseconds longest_delay = std::chrono::minutes(1);

/// A service's name as the front of a container id: what the id grammar has no place for becomes `-`.
std::string id_prefix(std::string_view name) {
    std::string id;
    for (const char c : name.substr(0, 60)) {
        const bool good =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
        if (good && !(id.empty() && (c == '_' || c == '.'))) {
            id += c;
        } else if (!id.empty() && id.back() != '-') {
            id += '-';
        }
    }
    return id.empty() ? "service" : id;
}

/// Eight digits that tell the runs of one service apart, also across processes.
std::string unique_suffix() {
    std::random_device random;
    std::string text;
    for (int i = 0; i < 8; ++i) text += "0123456789abcdef"[random() & 0xFU];
    return text;
}

bool restarts_after(const RestartPolicy& policy, const ExitStatus& status, unsigned restarts) {
    if (policy.most_restarts != 0 && restarts >= policy.most_restarts) return false;
    return policy.when == RestartPolicy::When::always ||
           (policy.when == RestartPolicy::When::on_failure && !status.ok());
}

}  // namespace

struct ServiceHandle::Impl {
    std::string name;
    ContainerRuntime& runtime;
    bundle::Source source;
    ServiceOptions options;
    OutputSink output;

    std::mutex mutex;
    std::mutex output_mutex;  ///< two pumps in pipe mode, one sink
    std::condition_variable changed;
    std::shared_ptr<ContainerHandle> current;
    bool stopping = false;
    bool ended = false;
    unsigned restarts = 0;
    ExitStatus last{};
    std::optional<Error> error;
    std::thread supervisor;

    Impl(std::string service, ContainerRuntime& on, bundle::Source from, ServiceOptions how, OutputSink sink)
        : name(std::move(service)),
          runtime(on),
          source(std::move(from)),
          options(std::move(how)),
          output(std::move(sink)) {}

    std::shared_ptr<ContainerHandle> start_one();
    void pump(int handle, OutputStream stream);
    ExitStatus run_to_end(ContainerHandle& container);
    void supervise(std::shared_ptr<ContainerHandle> container);
    bool wait_before_restart(std::chrono::milliseconds delay);
    std::shared_ptr<ContainerHandle> running();
};

std::shared_ptr<ContainerHandle> ServiceHandle::Impl::start_one() {
    bundle::RunOptions container = options.container;
    container.tty = options.terminal;
    // Each run has an id of its own, so that a restart never meets what the last one still removes.
    if (container.id.empty()) container.id = id_prefix(name) + "-" + unique_suffix();
    Stdio stdio;
    stdio.mode = options.terminal ? Stdio::Mode::pty : Stdio::Mode::pipes;
    stdio.size = options.size;
    return runtime.run_container(source, container, stdio, options.progress, options.cancel);
}

void ServiceHandle::Impl::pump(int handle, OutputStream stream) {
    host::read_to_end(handle, [&](std::string_view bytes) {
        if (!output) return;
        const std::lock_guard lock(output_mutex);
        output(stream, bytes);
    });
}

ExitStatus ServiceHandle::Impl::run_to_end(ContainerHandle& container) {
    std::thread errors;
    if (!options.terminal) errors = std::thread([&] { pump(container.stderr_handle(), OutputStream::err); });
    std::thread out([&] { pump(container.stdout_handle(), OutputStream::out); });
    const auto join = [&] {
        out.join();
        if (errors.joinable()) errors.join();
    };
    try {
        const ExitStatus status = container.wait();
        join();
        return status;
    } catch (...) {
        join();
        throw;
    }
}

bool ServiceHandle::Impl::wait_before_restart(std::chrono::milliseconds delay) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, delay, [&] { return stopping; });
    return !stopping;
}

void ServiceHandle::Impl::supervise(std::shared_ptr<ContainerHandle> container) {
    auto delay = options.restart.delay;
    std::optional<Error> failed;
    for (;;) {
        ExitStatus status{};
        try {
            status = run_to_end(*container);
        } catch (const Error& e) {
            failed = e;
        }
        unsigned so_far = 0;
        {
            const std::lock_guard lock(mutex);
            current.reset();
            if (!failed) last = status;
            so_far = restarts;
            changed.notify_all();
        }
        container.reset();
        if (failed || !restarts_after(options.restart, status, so_far) || !wait_before_restart(delay)) break;
        delay = std::min(delay * 2, longest_delay);
        try {
            container = start_one();
        } catch (const Error& e) {
            failed = e;
            break;
        }
        bool stop_it = false;
        {
            const std::lock_guard lock(mutex);
            ++restarts;
            current = container;
            stop_it = stopping;
        }
        if (stop_it) container->stop(std::chrono::milliseconds(0));
    }
    const std::lock_guard lock(mutex);
    error = std::move(failed);
    ended = true;
    changed.notify_all();
}

std::shared_ptr<ContainerHandle> ServiceHandle::Impl::running() {
    const std::lock_guard lock(mutex);
    return current;
}

ServiceHandle::ServiceHandle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServiceHandle::ServiceHandle(ServiceHandle&&) noexcept = default;

ServiceHandle& ServiceHandle::operator=(ServiceHandle&& other) noexcept {
    ServiceHandle old(std::move(*this));  // stops what was here
    impl_ = std::move(other.impl_);
    return *this;
}

ServiceHandle::~ServiceHandle() {
    if (!impl_) return;
    try {
        stop(std::chrono::milliseconds(0));
    } catch (const Error&) {  // how a service ended is of no interest to whoever drops it
    }
    if (impl_->supervisor.joinable()) impl_->supervisor.join();
}

const std::string& ServiceHandle::name() const noexcept { return impl_->name; }

std::string ServiceHandle::id() const {
    const auto container = impl_->running();
    return container ? container->id() : std::string();
}

int ServiceHandle::pid() const {
    const auto container = impl_->running();
    return container ? container->pid() : 0;
}

unsigned ServiceHandle::restarts() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->restarts;
}

void ServiceHandle::write(std::string_view bytes) {
    const auto container = impl_->running();
    if (!container) throw Error(ErrorKind::unavailable, "write to service " + impl_->name + ": it does not run");
    in_step("write to service " + impl_->name, [&] { host::write_all(container->stdin_handle(), bytes); });
}

void ServiceHandle::close_stdin() {
    if (const auto container = impl_->running()) container->close_stdin();
}

void ServiceHandle::resize(host::TerminalSize size) {
    if (const auto container = impl_->running()) container->resize(size);
}

void ServiceHandle::signal(int number) {
    if (const auto container = impl_->running()) container->signal(number);
}

ExitStatus ServiceHandle::stop(std::chrono::milliseconds grace) {
    std::shared_ptr<ContainerHandle> container;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
        container = impl_->current;
        impl_->changed.notify_all();
    }
    if (container) container->stop(grace);
    return wait();
}

ExitStatus ServiceHandle::wait() {
    std::unique_lock lock(impl_->mutex);
    impl_->changed.wait(lock, [&] { return impl_->ended; });
    if (impl_->error) throw Error(*impl_->error);
    return impl_->last;
}

ServiceHandle ProcessRuntime::run_container(std::string name, const bundle::Source& source,
                                            const std::map<std::string, std::string>& env, ServiceOptions options,
                                            OutputSink output) {
    for (const auto& [key, value] : env) options.container.env.emplace_back(key, value);
    auto impl =
        std::make_unique<ServiceHandle::Impl>(std::move(name), runtime_, source, std::move(options), std::move(output));
    auto first = in_step("start service " + impl->name, [&] { return impl->start_one(); });
    impl->current = first;
    impl->supervisor =
        std::thread([self = impl.get(), first = std::move(first)]() mutable { self->supervise(std::move(first)); });
    return ServiceHandle(std::move(impl));
}

}  // namespace locald::runtime
