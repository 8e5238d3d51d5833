#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cli/detach_keys.hpp"
#include "core/base/progress.hpp"
#include "core/host/signals.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// The thread beside the one that waits for a container. Before the container runs, a signal asks the long call to end,
/// and a second one ends this process. Afterwards signals go to the container, and with a terminal bytes are copied
/// both ways.
class ForegroundPump {
public:
    /// @param tty  the size of our terminal is followed
    explicit ForegroundPump(bool tty);
    /// Ends the thread.
    ~ForegroundPump();
    ForegroundPump(const ForegroundPump&) = delete;
    ForegroundPump& operator=(const ForegroundPump&) = delete;

    const CancelToken& cancel() const noexcept { return cancel_; }
    /// The signal that asked for the end before the container ran.
    std::optional<int> cancelled_by() const;

    /// From now on signals go to `container`, which must live until finish() has returned.
    /// @param copy_in, copy_out  our stdin goes to its terminal, and what it says there to our stdout
    void attach(runtime::ContainerHandle& container, bool copy_in, bool copy_out);
    /// Before attach(): the user may leave the container alone by `keys`, and by a signal that asks for the end when
    /// signals are not handed on.
    void may_leave(DetachKeys keys, bool hand_signals_on);
    bool has_left() const;
    /// The signal by which he left.
    std::optional<int> left_by() const;
    /// The container has ended: copies what its terminal still holds, and ends the thread.
    void finish() noexcept;

private:
    enum class Stage { preparing, running, finishing };
    using Clock = std::chrono::steady_clock;

    void loop();
    bool step();
    void wake() noexcept;
    void take_signals();
    void hand_on(int number);
    void follow_size();
    void read_input();
    void write_input();
    void read_output();
    void write_output();

    host::SignalQueue signals_;
    bool tty_;
    CancelToken cancel_;
    int wake_read_ = -1, wake_write_ = -1;

    mutable std::mutex mutex_;  ///< guards what both threads use
    Stage stage_ = Stage::preparing;
    runtime::ContainerHandle* container_ = nullptr;
    std::optional<int> cancelled_by_;
    std::deque<int> early_;
    bool want_in_ = false, want_out_ = false;
    bool hands_on_ = true, left_ = false;
    std::optional<int> left_by_;

    // Of the thread alone.
    DetachKeys keys_;
    int master_ = -1;
    bool in_open_ = false, out_open_ = false, stdout_open_ = true, abandoned_ = false;
    std::string to_container_, to_stdout_;
    Clock::time_point master_rests_until_{};
    std::optional<Clock::time_point> drain_until_;
    std::deque<Clock::time_point> interrupts_;

    std::thread thread_;
};

}  // namespace locald::cli
