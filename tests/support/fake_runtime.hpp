#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/host/stream.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::testing {

using namespace std::chrono_literals;

/// How many containers of the runtime below are there.
inline std::atomic<int> alive = 0;

/// Says `output` on stdout, waits for the end of its input when it has one, and ends with 7; or by a signal.
class FakeContainer final : public runtime::ContainerHandle {
public:
    FakeContainer(const runtime::Stdio& stdio, bool waits) : waits_(waits) {
        ++alive;
        in_ = stdio.in >= 0 ? ::dup(stdio.in) : -1;
        out_ = ::dup(stdio.out);
        thread_ = std::thread([this] { live(); });
    }
    ~FakeContainer() override {
        signal(SIGKILL);
        thread_.join();
        --alive;
    }
    const std::string& id() const noexcept override { return id_; }
    int pid() const noexcept override { return 42; }
    int stdin_handle() const noexcept override { return -1; }
    int stdout_handle() const noexcept override { return -1; }
    int stderr_handle() const noexcept override { return -1; }
    void close_stdin() override {}
    void resize(host::TerminalSize) override {}
    void signal(int number) override {
        const std::lock_guard lock(mutex_);
        if (!status_) status_ = runtime::ExitStatus{0, number};
        changed_.notify_all();
    }
    bool drops(int number) override { return number == SIGINT; }
    runtime::ExitStatus stop(std::chrono::milliseconds) override {
        signal(SIGTERM);
        return wait();
    }
    runtime::ExitStatus wait() override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return status_.has_value(); });
        return *status_;
    }
    std::optional<runtime::ExitStatus> wait_for(std::chrono::milliseconds) override { return wait(); }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    void live() {
        std::string said = "hello ";
        try {
            if (in_ >= 0) host::read_to_end(in_, [&](std::string_view bytes) { said += bytes; });
            host::write_all(out_, said);
        } catch (const Error&) {  // nobody reads
        }
        if (in_ >= 0) ::close(in_);
        ::close(out_);
        const std::lock_guard lock(mutex_);
        if (!status_ && !waits_) status_ = runtime::ExitStatus{7, 0};
        changed_.notify_all();
    }

    const std::string id_ = "fake";
    const std::vector<std::string> warnings_{"a warning"};
    const bool waits_;
    int in_ = -1, out_ = -1;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<runtime::ExitStatus> status_;
    std::thread thread_;
};

/// Has none, and does nothing.
class FakeImages : public runtime::Images {
public:
    runtime::ImageSummary pull(const oci::ImageName&, const runtime::PullOptions&, const ProgressSink&,
                               const CancelToken&) override {
        return {};
    }
    std::vector<runtime::ImageSummary> list() override { return {}; }
    std::string inspect(const std::string&) override { return {}; }
    runtime::ImageSummary remove(const std::string&) override { return {}; }
    runtime::ImageSummary import(const oci::ImageName&, const std::string&, const ProgressSink&,
                                 const CancelToken&) override {
        return {};
    }
    void export_to(const std::string&, const std::string&, const ProgressSink&, const CancelToken&) override {}
};

class FakeRuntime : public runtime::ContainerRuntime {
public:
    runtime::ProbeReport probe() override { return {"fake", true, {}}; }
    runtime::Images& images() override { throw Error(ErrorKind::unsupported, "no images"); }
    bundle::ContainerBundle prepare_bundle(const bundle::Source&, const bundle::RunOptions&, const std::string&,
                                           const ProgressSink& progress, const CancelToken& cancel) override {
        progress({"unpack", "x", 1, 2, false});
        while (!cancel.cancelled()) std::this_thread::sleep_for(1ms);
        throw Error(ErrorKind::cancelled, "prepare: cancelled");
    }
    bundle::ContainerBundle inspect_bundle(const std::string& dir) override {
        throw Error(ErrorKind::not_found, "read " + dir + ": No such file or directory", 2).with_remedy("check it");
    }
    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source&, const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink&,
                                                            const CancelToken&) override {
        return std::make_unique<FakeContainer>(stdio, !options.command.empty() && options.command[0] == "wait");
    }
    std::vector<oci::State> list() override { return {}; }
    oci::State state(const std::string&) override { return {}; }
    void kill(const std::string&, int) override {}
    void remove(const std::string&, bool) override {}
};

inline runtime::Stdio pipes() {
    runtime::Stdio stdio;
    stdio.mode = runtime::Stdio::Mode::pipes;
    return stdio;
}

/// A run with input; what it said, and how it ended, or the error.
struct Outcome {
    std::string said;
    std::optional<runtime::ExitStatus> status;
    std::optional<Error> error;
};
inline Outcome run_once(runtime::ContainerRuntime& runtime) {
    Outcome outcome;
    try {
        const auto container = runtime.run_container({}, {}, pipes(), {}, {});
        host::write_all(container->stdin_handle(), "world");
        container->close_stdin();
        host::read_to_end(container->stdout_handle(), [&](std::string_view bytes) { outcome.said += bytes; });
        outcome.status = container->wait();
    } catch (const Error& e) {
        outcome.error = e;
    }
    return outcome;
}

}  // namespace locald::testing
