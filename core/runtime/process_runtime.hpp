#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/runtime/container_runtime.hpp"

namespace locald::runtime {

/// When a service is started again after it ended by itself.
struct RestartPolicy {
    enum class When { never, on_failure, always } when = When::never;
    unsigned most_restarts = 0;                                ///< 0: no limit
    std::chrono::milliseconds delay{std::chrono::seconds(1)};  ///< before the first restart; doubles up to a minute
};

/// How a service runs.
struct ServiceOptions {
    bundle::RunOptions container;  ///< `env` is extended by the call's, `tty` follows `terminal`
    bool terminal = true;          ///< a PTY (stdout and stderr are one stream), else pipes
    host::TerminalSize size{24, 80};
    RestartPolicy restart;
    ProgressSink progress;
    CancelToken cancel;
};

enum class OutputStream { out, err };
/// Takes output as it comes, from one thread, in order; the bytes are valid during the call only.
using OutputSink = std::function<void(OutputStream, std::string_view)>;

/// One service of the daemon. Thread-safe. Destroying it stops the container.
class ServiceHandle {
public:
    ServiceHandle(ServiceHandle&&) noexcept;
    ServiceHandle& operator=(ServiceHandle&&) noexcept;
    ~ServiceHandle();

    const std::string& name() const noexcept;
    std::string id() const;  ///< of the container that runs now
    int pid() const;         ///< of its first process; 0 between two starts and after the end
    unsigned restarts() const;
    /// Bytes for the container's stdin. @throws Error(unavailable) after its end
    void write(std::string_view bytes);
    void close_stdin();
    void resize(host::TerminalSize size);
    void signal(int number);
    /// Stop signal, grace, SIGKILL; no restart follows.
    ExitStatus stop(std::chrono::milliseconds grace = std::chrono::seconds(10));
    /// The status of the last run, once no restart follows. All output was handed over before this returns.
    ExitStatus wait();

private:
    friend class ProcessRuntime;
    struct Impl;
    explicit ServiceHandle(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// What the daemon uses to run its services: a ContainerRuntime with output, restarts and one handle a service.
class ProcessRuntime {
public:
    /// `runtime` must outlive the services.
    explicit ProcessRuntime(ContainerRuntime& runtime) : runtime_(runtime) {}
    /// @param name  the service's name, any text (`shop:web`); the container id is made from it
    ServiceHandle run_container(std::string name, const bundle::Source& source,
                                const std::map<std::string, std::string>& env, ServiceOptions options,
                                OutputSink output);

private:
    ContainerRuntime& runtime_;
};

}  // namespace locald::runtime
