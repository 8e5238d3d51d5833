#pragma once

#include "backends/remote/agent_client.hpp"
#include "backends/remote/port_forwards.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What is told of the output that a handle writes to handles of the caller's.
struct OutputWatch {
    std::atomic<std::uint64_t> out_written = 0, err_written = 0;
    std::function<void(const runtime::OutputPlace&)> mark;
    /// The caller's handles are a terminal's.
    std::optional<host::TerminalSize> terminal;
};

/// The request for a part in a container in the background.
/// @param marks  whether the agent shall tell of its place in the output
protocol::Json attach_request(const std::string& id, const runtime::AttachOptions& how, bool marks);

/// A container on another kernel: the agent there holds its handle, this one has our ends of its streams.
class RemoteContainer final : public runtime::ContainerHandle {
public:
    /// Asks the agent for it by `request`, whose member "do" says how: run, exec or attach. @throws Error as the agent
    /// says it
    /// @param watch  used for as long as this is there
    /// @param other  told what else the agent says until the container runs
    RemoteContainer(std::shared_ptr<AgentClient> client, protocol::Json request, const runtime::Stdio& stdio,
                    const ProgressSink& progress, const CancelToken& cancel, std::shared_ptr<OutputWatch> watch = {},
                    const AgentClient::Other& other = {});
    ~RemoteContainer() override;

    const std::string& id() const noexcept override { return id_; }
    int pid() const noexcept override { return pid_; }
    int stdin_handle() const noexcept override { return in_; }
    int stdout_handle() const noexcept override { return out_; }
    int stderr_handle() const noexcept override { return err_; }
    void close_stdin() override;
    void resize(host::TerminalSize size) override;
    void signal(int number) override;
    bool drops(int number) override;
    runtime::ExitStatus stop(std::chrono::milliseconds grace) override;
    runtime::ExitStatus wait() override;
    std::optional<runtime::ExitStatus> wait_for(std::chrono::milliseconds timeout) override;
    std::vector<bundle::PortOption> ports() const override {
        return forwards_ ? forwards_->ports() : std::vector<bundle::PortOption>();
    }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }
    /// The ways to its ports, which are there as long as this is.
    void keep(std::shared_ptr<PortForwards> forwards);
    /// The connection is lost: until all that came before is written.
    void wait_written() { stream_->wait_written(); }

private:
    struct Ends;
    void take_mark(const protocol::Json& message) const;
    void close_handles() noexcept;
    /// What comes next, kept when it is the end. Needs mutex_.
    std::optional<protocol::Json> take_message(std::chrono::milliseconds most);
    std::optional<runtime::ExitStatus> take_end(std::optional<std::chrono::milliseconds> timeout);

    const bool is_attachment_;  ///< its end is not the container's
    const std::shared_ptr<OutputWatch> watch_;
    std::shared_ptr<AgentClient> client_;
    std::shared_ptr<AgentStream> stream_;
    std::string id_;
    int pid_ = 0;
    int in_ = -1, out_ = -1, err_ = -1;
    std::vector<std::string> warnings_;
    std::shared_ptr<PortForwards> forwards_;
    std::mutex mutex_;  ///< of the end
    std::optional<runtime::ExitStatus> status_;
    std::optional<Error> error_;
};

}  // namespace locald::backends
