#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/remote/output_track.hpp"
#include "backends/remote/reconnect.hpp"
#include "backends/remote/remote_container.hpp"

namespace locald::backends {

/// Takes part in a container that outlives the connection: when that is lost, another one is made, and the output goes
/// on where it was. Waits only in wait() and wait_for(), which is where connections are made. Its streams are those of
/// the caller or a terminal.
class FollowedAttachment final : public runtime::ContainerHandle {
public:
    /// @param connect  tries once
    /// @param most  how long to try, each time
    FollowedAttachment(Connect connect, std::chrono::milliseconds most, std::string id, runtime::AttachOptions how,
                       const runtime::Stdio& stdio);
    ~FollowedAttachment() override;

    const std::string& id() const noexcept override { return id_; }
    int pid() const noexcept override { return pid_; }
    int stdin_handle() const noexcept override { return near_; }
    int stdout_handle() const noexcept override { return near_; }
    int stderr_handle() const noexcept override { return near_; }
    void close_stdin() override {}
    void resize(host::TerminalSize size) override;
    void signal(int number) override;
    bool drops(int number) override;
    runtime::ExitStatus stop(std::chrono::milliseconds grace) override;
    runtime::ExitStatus wait() override;
    std::optional<runtime::ExitStatus> wait_for(std::chrono::milliseconds timeout) override;
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    using Clock = std::chrono::steady_clock;

    std::shared_ptr<RemoteContainer> inner() const;
    std::shared_ptr<RemoteContainer> attach(const std::shared_ptr<AgentClient>& client);
    void lose(const Error& why);
    void try_again();
    void take_rest(AgentClient& client);
    void end_output() noexcept;

    const Connect connect_;
    const std::chrono::milliseconds most_;
    const std::string id_;
    runtime::AttachOptions how_;
    runtime::Stdio stdio_;  ///< of the inner ones
    int near_ = -1, far_ = -1;
    int pid_ = 0;
    std::vector<std::string> warnings_;

    // Of whoever waits.
    std::shared_ptr<AgentClient> client_;
    std::mutex track_mutex_;
    OutputTrack track_;
    std::shared_ptr<OutputWatch> watch_;
    std::optional<Clock::time_point> give_up_, next_try_;
    Backoff backoff_;
    std::optional<runtime::ExitStatus> status_;

    mutable std::mutex mutex_;
    std::shared_ptr<RemoteContainer> inner_;  ///< none while there is no connection
    std::optional<host::TerminalSize> terminal_;
    std::vector<int> signals_;  ///< came while there was none
};

}  // namespace locald::backends
