#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/linux/shim_program.hpp"
#include "backends/linux/shim_report.hpp"
#include "core/host/child_process.hpp"
#include "core/posix/unique_fd.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What a container of ours is started from, and what is to be done after its end.
struct ContainerStart {
    std::string id;
    std::string bundle_dir;
    std::string stop_signal;
    std::string exec_process;  ///< a file with one more process for the container; empty: the container itself
    bool keep_id = false;      ///< `--userns keep-id`: a setuid shim must know it before it reads the configuration
    std::vector<std::string> warnings;
    std::vector<bundle::PortOption> ports;
    runtime::Stdio stdio;
    /// Removes the bundle directory and gives the id up. Runs once, after the shim is gone.
    std::function<void()> clean_up;
};

/// One container in the foreground, or one more process in it: the shim is our child and ends with it.
class LinuxContainer final : public runtime::ContainerHandle {
public:
    /// Starts the shim and returns when the container's program runs. @throws the shim's own Error; clean_up() has run
    /// then
    LinuxContainer(const Shim& shim, ContainerStart start);
    ~LinuxContainer() override;

    const std::string& id() const noexcept override { return start_.id; }
    int pid() const noexcept override { return pid_; }
    int stdin_handle() const noexcept override { return master_ ? master_.get() : in_.get(); }
    int stdout_handle() const noexcept override { return master_ ? master_.get() : out_.get(); }
    int stderr_handle() const noexcept override { return master_ ? master_.get() : err_.get(); }
    void close_stdin() override { in_.reset(); }
    void resize(host::TerminalSize size) override;
    void signal(int number) override;
    bool drops(int number) override;
    runtime::ExitStatus stop(std::chrono::milliseconds grace) override;
    runtime::ExitStatus wait() override;
    std::optional<runtime::ExitStatus> wait_for(std::chrono::milliseconds timeout) override;
    std::vector<bundle::PortOption> ports() const override { return start_.ports; }
    const std::vector<std::string>& warnings() const noexcept override { return start_.warnings; }

private:
    bool is_exec() const noexcept { return !start_.exec_process.empty(); }
    void launch();
    void read_until_started();
    bool shim_ended(std::chrono::milliseconds timeout) const;
    /// Reads the rest of the report, removes what a killed shim left, and settles the outcome. Called with mutex_ held.
    void finish();
    runtime::ExitStatus outcome() const;

    Shim shim_;
    ContainerStart start_;
    host::Child child_;
    posix::UniqueFd shim_pidfd_, init_pidfd_;
    posix::UniqueFd in_, out_, err_, master_;
    ShimReport report_;
    int pid_ = 0;
    mutable std::mutex mutex_;
    bool finished_ = false;
    std::optional<runtime::ExitStatus> status_;
    std::optional<Error> error_;
};

}  // namespace locald::backends
