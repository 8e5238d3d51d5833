#include "cli/foreground_pump.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/host/terminal.hpp"

namespace locald::cli {

namespace {

using namespace std::chrono_literals;

// Small enough that a pipe or terminal that poll calls writable takes it without blocking.
constexpr std::size_t block = 4096;
// A terminal none of whose users are left may get new ones: how long until it is looked at again.
constexpr auto hangup_rest = 50ms;
// How long the last bytes of a container that is gone may take to come out of the kernel.
constexpr auto drain_most = 1s;

std::vector<int> caught(bool tty) {
    auto numbers = host::forwardable_signals();
    if (tty) numbers.push_back(SIGWINCH);
    return numbers;
}

bool asks_for_the_end(int number) {
    return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

/// Where the size of a terminal can be read; -1 when none of our streams is one.
int terminal_of_ours() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (host::is_terminal(fd)) return fd;
    }
    return -1;
}

bool is_again(int err) { return err == EAGAIN || err == EWOULDBLOCK || err == EINTR; }

}  // namespace

ForegroundPump::ForegroundPump(bool tty) : signals_(caught(tty)), tty_(tty) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw_errno(errno, "make a pipe");
    wake_read_ = ends[0];
    wake_write_ = ends[1];
    thread_ = std::thread([this] { loop(); });
}

ForegroundPump::~ForegroundPump() {
    finish();
    ::close(wake_read_);
    ::close(wake_write_);
}

std::optional<int> ForegroundPump::cancelled_by() const {
    const std::lock_guard lock(mutex_);
    return cancelled_by_;
}

void ForegroundPump::may_leave(DetachKeys keys, bool hand_signals_on) {
    const std::lock_guard lock(mutex_);
    keys_ = std::move(keys);
    hands_on_ = hand_signals_on;
}

bool ForegroundPump::has_left() const {
    const std::lock_guard lock(mutex_);
    return left_;
}

std::optional<int> ForegroundPump::left_by() const {
    const std::lock_guard lock(mutex_);
    return left_by_;
}

void ForegroundPump::attach(runtime::ContainerHandle& container, bool copy_in, bool copy_out) {
    {
        const std::lock_guard lock(mutex_);
        container_ = &container;
        want_in_ = copy_in;
        want_out_ = copy_out;
        stage_ = Stage::running;
    }
    wake();
}

void ForegroundPump::finish() noexcept {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stage_ = Stage::finishing;
    }
    wake();
    thread_.join();
}

void ForegroundPump::wake() noexcept {
    const char byte = 0;
    if (::write(wake_write_, &byte, 1) < 0) return;  // full: the thread is awake already
}

void ForegroundPump::loop() {
    // A reader of our stdout that goes away is an error to see in write(), not a reason to die with a raw terminal.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    try {
        while (step()) {
        }
    } catch (const std::exception& e) {
        log(LogLevel::error, std::string("copy the container's terminal: ") + e.what());
    }
}

/// One round: waits until something can be done and does it. False when all is done.
bool ForegroundPump::step() {
    Stage stage{};
    {
        const std::lock_guard lock(mutex_);
        stage = stage_;
        // Finishing as well: a short container may have ended before this thread saw it run, and what it said counts.
        if (stage != Stage::preparing && container_ != nullptr && master_ < 0 && (want_in_ || want_out_)) {
            master_ = container_->stdout_handle();
            const int flags = ::fcntl(master_, F_GETFL);
            if (flags < 0 || ::fcntl(master_, F_SETFL, flags | O_NONBLOCK) != 0) master_ = -1;
            in_open_ = want_in_ && master_ >= 0;
            out_open_ = want_out_ && master_ >= 0;
        }
    }
    const auto now = Clock::now();
    if (stage == Stage::finishing) {
        if (!drain_until_) drain_until_ = now + drain_most;
        const bool nothing_left = !out_open_ && to_stdout_.empty();
        if (nothing_left || abandoned_ || (now >= *drain_until_ && to_stdout_.empty())) return false;
    }

    const bool master_rests = stage != Stage::finishing && now < master_rests_until_;
    const bool read_master = out_open_ && to_stdout_.empty() && !master_rests;
    const bool write_master = !to_container_.empty() && !master_rests;
    std::array<pollfd, 5> entries{
        pollfd{signals_.handle(), POLLIN, 0}, pollfd{wake_read_, POLLIN, 0},
        pollfd{in_open_ && to_container_.empty() && stage == Stage::running ? STDIN_FILENO : -1, POLLIN, 0},
        pollfd{read_master || write_master ? master_ : -1,
               static_cast<short>((read_master ? POLLIN : 0) | (write_master ? POLLOUT : 0)), 0},
        pollfd{to_stdout_.empty() ? -1 : STDOUT_FILENO, POLLOUT, 0}};
    int timeout = -1;
    if (out_open_ && master_rests) timeout = static_cast<int>(hangup_rest / 1ms);
    if (stage == Stage::finishing) timeout = static_cast<int>(hangup_rest / 1ms);
    if (::poll(entries.data(), entries.size(), timeout) < 0) {
        if (errno == EINTR) return true;
        throw_errno(errno, "poll");
    }
    if (entries[1].revents != 0) {
        std::array<char, 64> bytes{};
        while (::read(wake_read_, bytes.data(), bytes.size()) > 0) {
        }
    }
    take_signals();
    if (entries[2].revents != 0) read_input();
    if (write_master && (entries[3].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) write_input();
    if (read_master && entries[3].revents != 0) read_output();
    if (entries[4].revents != 0) write_output();
    return true;
}

void ForegroundPump::take_signals() {
    const std::lock_guard lock(mutex_);
    for (;;) {
        const auto next = signals_.next();
        if (!next) break;
        const int number = *next;
        if (number == SIGWINCH) {
            if (container_ != nullptr) follow_size();
        } else if (stage_ == Stage::preparing) {
            if (!asks_for_the_end(number)) {
                early_.push_back(number);
            } else if (cancelled_by_) {
                host::SignalQueue::die_by(number);
            } else {
                cancelled_by_ = number;
                early_.push_back(number);
                cancel_.cancel();
            }
        } else if (container_ != nullptr) {  // else a long call has just ended, or failed, and so do we
            if (stage_ == Stage::finishing && asks_for_the_end(number)) abandoned_ = true;
            hand_on(number);
        }
    }
    if (container_ == nullptr) return;
    // Came while it was being started.
    for (; !early_.empty(); early_.pop_front()) hand_on(early_.front());
}

void ForegroundPump::hand_on(int number) {
    if (!hands_on_) {
        if (!asks_for_the_end(number)) return;
        left_ = abandoned_ = true;
        left_by_ = number;
        return;
    }
    container_->signal(number);
    // Process 1 of a container ignores what it does not handle: whoever hammers on Ctrl-C wants out all the same.
    constexpr std::size_t hammering = 3;
    constexpr auto within = 2s;
    if (number != SIGINT || !host::is_terminal(STDERR_FILENO)) return;
    const auto now = Clock::now();
    interrupts_.push_back(now);
    while (now - interrupts_.front() > within) interrupts_.pop_front();
    if (interrupts_.size() < hammering) return;
    note("interrupted three times: the container is killed");
    container_->signal(SIGKILL);
}

void ForegroundPump::follow_size() {
    const int terminal = terminal_of_ours();
    if (!tty_ || terminal < 0) return;
    try {
        container_->resize(host::terminal_size(terminal));
    } catch (const Error& e) {
        log(LogLevel::debug, e.what());  // it is ending
    }
}

void ForegroundPump::read_input() {
    std::array<char, block> bytes;
    const auto got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (got > 0) {
        to_container_ = keys_.take({bytes.data(), static_cast<std::size_t>(got)});
        if (!keys_.found()) return;
        in_open_ = false;
        const std::lock_guard lock(mutex_);
        left_ = abandoned_ = true;
    } else if (got == 0 || !is_again(errno)) {
        in_open_ = false;  // our terminal is gone; its container may well go on
    }
}

void ForegroundPump::write_input() {
    const auto put = ::write(master_, to_container_.data(), to_container_.size());
    if (put > 0) {
        to_container_.erase(0, static_cast<std::size_t>(put));
    } else if (put < 0 && !is_again(errno)) {
        to_container_.clear();
    }
}

void ForegroundPump::read_output() {
    std::array<char, block> bytes;
    const auto got = ::read(master_, bytes.data(), bytes.size());
    if (got > 0) {
        if (stdout_open_) to_stdout_.assign(bytes.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno == EIO) {
        // Nobody has the other side open. While the container lives, somebody may open it again.
        if (drain_until_) out_open_ = false;
        master_rests_until_ = Clock::now() + hangup_rest;
    } else if (!is_again(errno)) {
        out_open_ = false;
    }
}

void ForegroundPump::write_output() {
    const auto put = ::write(STDOUT_FILENO, to_stdout_.data(), to_stdout_.size());
    if (put > 0) {
        to_stdout_.erase(0, static_cast<std::size_t>(put));
    } else if (put < 0 && !is_again(errno)) {
        stdout_open_ = false;  // the container is not to stop because nobody reads
        to_stdout_.clear();
    }
}

}  // namespace locald::cli
