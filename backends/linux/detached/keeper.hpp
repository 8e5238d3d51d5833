#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "backends/linux/detached/keeper_socket.hpp"
#include "backends/linux/detached/output_hub.hpp"
#include "backends/linux/detached/output_pump.hpp"
#include "backends/linux/detached/records.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Holds one container: its handle, its terminal or pipes, its log and its record. Who speaks to it does so as to an
/// agent; of the facade it can what is about that one container.
class Keeper final : public runtime::ContainerRuntime {
public:
    /// @param runtime  that the container is run by
    Keeper(std::unique_ptr<runtime::ContainerRuntime> runtime, const std::string& data_directory,
           std::string state_directory);
    ~Keeper() override;

    /// Serves whoever started this process, who asks for run_detached(), then all others, until the container has
    /// ended and is recorded.
    /// @param link  to the starter; taken over
    void run(int link);

    runtime::DetachedStart run_detached(const bundle::Source& source, const bundle::RunOptions& options,
                                        const runtime::DetachOptions& how, const ProgressSink& progress,
                                        const CancelToken& cancel) override;
    runtime::ExitStatus wait(const std::string& id, const CancelToken& cancel) override;
    void stop(const std::string& id, std::chrono::milliseconds grace) override;
    std::unique_ptr<runtime::ContainerHandle> attach(const std::string& id, const runtime::AttachOptions& how,
                                                     const runtime::Stdio& stdio) override;

    // What is not about the container is not its business.
    runtime::ProbeReport probe() override;
    runtime::Images& images() override;
    bundle::ContainerBundle prepare_bundle(const bundle::Source& source, const bundle::RunOptions& options,
                                           const std::string& destination, const ProgressSink& progress,
                                           const CancelToken& cancel) override;
    bundle::ContainerBundle inspect_bundle(const std::string& dir) override;
    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source& source,
                                                            const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink& progress,
                                                            const CancelToken& cancel) override;
    std::vector<oci::State> list() override;
    oci::State state(const std::string& id) override;
    void kill(const std::string& id, int signal) override;
    void remove(const std::string& id, bool force) override;

private:
    enum class Stage { idle, starting, running, ended };
    struct Connection {
        std::thread thread;
        bool done = false;
    };
    /// Our ends of what the container has.
    struct Streams {
        posix::UniqueFd in, out, err;
    };

    void serve_starter(int link);
    void serve_connection(int handle);
    void forget_finished();
    std::unique_ptr<runtime::ContainerHandle> start(const bundle::Source& source, const bundle::RunOptions& options,
                                                    const runtime::DetachOptions& how, const ProgressSink& progress,
                                                    const CancelToken& cancel);
    void see_through();
    void record_end(EndRecord end);
    std::optional<runtime::ExitStatus> await_end(std::chrono::milliseconds most);

    std::unique_ptr<runtime::ContainerRuntime> runtime_;
    Records records_;
    const std::string bundle_directory_, state_directory_;

    std::mutex mutex_;
    std::condition_variable changed_;
    Stage stage_ = Stage::idle;
    bool starter_gone_ = false;
    std::list<Connection> connections_;

    // Set before Stage::running, and kept from then on.
    Record record_;
    std::optional<OwnRecord> own_;
    std::unique_ptr<KeeperSocket> socket_;
    std::unique_ptr<OutputHub> hub_;
    std::unique_ptr<runtime::ContainerHandle> container_;
    Streams streams_;

    // Set before Stage::ended.
    EndRecord end_;
};

}  // namespace locald::backends
