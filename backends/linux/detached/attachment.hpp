#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <thread>

#include "backends/linux/detached/output_hub.hpp"
#include "core/posix/unique_fd.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What an attachment uses of its keeper, which outlives it.
struct KeptContainer {
    runtime::ContainerHandle& container;
    OutputHub& hub;
    int in = -1;  ///< of the container, never blocks; -1 when it takes none
    /// Its end, once that is recorded. @throws Error when it is not known
    std::function<std::optional<runtime::ExitStatus>(std::chrono::milliseconds most)> await_end;
};

/// One who reads along with a container and writes to its stdin. Its end is not the container's.
class Attachment final : public runtime::ContainerHandle {
public:
    Attachment(KeptContainer kept, const runtime::AttachOptions& how, const runtime::Stdio& stdio);
    ~Attachment() override;

    const std::string& id() const noexcept override { return kept_.container.id(); }
    int pid() const noexcept override { return kept_.container.pid(); }
    int stdin_handle() const noexcept override { return their_in_.get(); }
    int stdout_handle() const noexcept override { return their_out_ ? their_out_.get() : their_in_.get(); }
    int stderr_handle() const noexcept override { return their_err_ ? their_err_.get() : stdout_handle(); }
    void close_stdin() override;
    void resize(host::TerminalSize size) override { kept_.container.resize(size); }
    void signal(int number) override { kept_.container.signal(number); }
    bool drops(int number) override { return kept_.container.drops(number); }
    runtime::ExitStatus stop(std::chrono::milliseconds grace) override;
    runtime::ExitStatus wait() override;
    std::optional<runtime::ExitStatus> wait_for(std::chrono::milliseconds timeout) override;
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    void copy_output();
    void copy_input();
    bool wait_for_handle(int handle, short events) const;
    bool put(int handle, std::string_view bytes) const;
    bool put_piece(const LogPiece& piece);

    KeptContainer kept_;
    const runtime::OutputMark mark_;
    const std::uint64_t from_;
    OutputHub::Follower follower_;
    std::array<std::uint64_t, 2> had_{}, written_{};    ///< bytes of each stream: to pass over, and written
    posix::UniqueFd their_in_, their_out_, their_err_;  ///< the ends of whoever has this handle
    posix::UniqueFd in_, out_, err_;                    ///< ours
    posix::UniqueFd stop_read_, stop_write_;
    std::vector<std::string> warnings_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool all_told_ = false;
    std::thread output_, input_;
};

}  // namespace locald::backends
