#include "backends/linux/linux_container.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/signal_name.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

// The numbers under which the shim finds its handles.
constexpr int report_number = 3;
constexpr int console_number = 4;

int milliseconds_of(std::chrono::milliseconds timeout) {
    constexpr std::int64_t most = 1'000'000'000;
    return static_cast<int>(timeout.count() < 0 ? -1 : std::min<std::int64_t>(timeout.count(), most));
}

}  // namespace

LinuxContainer::LinuxContainer(const Shim& shim, ContainerStart start) : shim_(shim), start_(std::move(start)) {
    try {
        launch();
        read_until_started();
    } catch (...) {
        const std::lock_guard lock(mutex_);
        report_.close();  // the shim, if it runs, ends its container
        finish();
        throw;
    }
}

LinuxContainer::~LinuxContainer() {
    try {
        const std::lock_guard lock(mutex_);
        if (finished_) return;
        if (is_exec()) signal(SIGKILL);
        report_.close();
        finish();
    } catch (const std::exception& e) {
        log(LogLevel::error, "remove container " + start_.id + ": " + e.what());
    }
}

void LinuxContainer::launch() {
    using Mode = runtime::Stdio::Mode;
    const std::string report_text = std::to_string(report_number);
    auto options = shim_.command(
        is_exec() ? std::vector<std::string>{"exec", "--process", start_.exec_process, "--report-fd", report_text}
                  : std::vector<std::string>{"bundle", "run", "--bundle", start_.bundle_dir, "--id", start_.id,
                                             "--report-fd", report_text});
    if (start_.keep_id) options.argv.emplace_back("--keep-id");
    posix::Pipe report = posix::make_pipe();
    options.handles.push_back({report.write.get(), report_number});

    posix::Pipe in, out, err;
    posix::SocketPair console;
    switch (start_.stdio.mode) {
        case Mode::inherit:
            for (const auto& [ours, theirs] :
                 {std::pair{start_.stdio.in, 0}, {start_.stdio.out, 1}, {start_.stdio.err, 2}}) {
                if (ours >= 0) options.handles.push_back({ours, theirs});
            }
            break;
        case Mode::pipes:
            in = posix::make_pipe();
            out = posix::make_pipe();
            err = posix::make_pipe();
            options.handles.push_back({in.read.get(), 0});
            options.handles.push_back({out.write.get(), 1});
            options.handles.push_back({err.write.get(), 2});
            break;
        case Mode::pty:
            console = posix::make_socket_pair();
            options.argv.insert(options.argv.end(), {"--console-fd", std::to_string(console_number)});
            options.handles.push_back({console.second.get(), console_number});
            break;
    }
    if (is_exec()) options.argv.push_back(start_.id);
    child_ = host::Child::start(options);
    shim_pidfd_ = posix::pidfd_open(child_.pid());
    report_ = ShimReport(std::move(report.read));
    report.write.reset();
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    if (start_.stdio.mode != Mode::pty) return;
    console.second.reset();
    try {
        master_ = posix::receive_fd(console.first);
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unavailable) throw;  // the shim closed it: its report says why
    }
}

void LinuxContainer::read_until_started() {
    for (;;) {
        auto event = report_.next();
        if (!event) break;
        switch (event->kind) {
            case ShimEvent::Kind::started:
                pid_ = event->pid;
                try {
                    init_pidfd_ = posix::pidfd_open(pid_);
                } catch (const Error& e) {
                    if (e.os_errno() != ESRCH) throw;  // ended and reaped already
                }
                if (master_) resize(start_.stdio.size);
                return;
            case ShimEvent::Kind::failed:
                if (event->error) throw Error(*event->error);
                break;
            case ShimEvent::Kind::warning:
                start_.warnings.push_back(std::move(event->text));
                break;
            case ShimEvent::Kind::exited:
                break;
        }
    }
    const auto status = child_.wait();
    throw Error(ErrorKind::lost, "start " + start_.id + ": locald-shim ended before the container ran (" +
                                     (status.signal != 0 ? "signal " + std::to_string(status.signal)
                                                         : "exit code " + std::to_string(status.code)) +
                                     ")")
        .with_remedy("run `locald doctor`");
}

void LinuxContainer::resize(host::TerminalSize size) {
    if (master_) host::set_terminal_size(master_.get(), size);
}

void LinuxContainer::signal(int number) {
    // To the container itself and not by way of the shim: SIGKILL and SIGSTOP would stop the shim.
    if (init_pidfd_) posix::pidfd_send_signal(init_pidfd_, number);
}

bool LinuxContainer::drops(int number) {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    bool first = false;
    std::uint64_t known = 0;
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("NSpid:")) {
            first = line.ends_with("\t1");
        } else if (line.starts_with("SigBlk:") || line.starts_with("SigIgn:") || line.starts_with("SigCgt:")) {
            known |= std::strtoull(line.c_str() + 7, nullptr, 16);
        }
    }
    return first && number > 0 && ((known >> static_cast<unsigned>(number - 1)) & 1U) == 0;
}

runtime::ExitStatus LinuxContainer::stop(std::chrono::milliseconds grace) {
    signal(parse_signal(start_.stop_signal.empty() ? "SIGTERM" : start_.stop_signal));
    if (const auto status = wait_for(grace)) return *status;
    signal(SIGKILL);
    return wait();
}

bool LinuxContainer::shim_ended(std::chrono::milliseconds timeout) const {
    pollfd ended{shim_pidfd_.get(), POLLIN, 0};
    const auto end = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        const int n = ::poll(&ended, 1, milliseconds_of(timeout));
        if (n >= 0) return n > 0;
        if (errno != EINTR) throw_errno(errno, "poll for the end of locald-shim");
        if (timeout.count() >= 0) {
            timeout =
                std::max(std::chrono::milliseconds(0),
                         std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()));
        }
    }
}

runtime::ExitStatus LinuxContainer::wait() {
    shim_ended(std::chrono::milliseconds(-1));
    const std::lock_guard lock(mutex_);
    finish();
    return outcome();
}

std::optional<runtime::ExitStatus> LinuxContainer::wait_for(std::chrono::milliseconds timeout) {
    if (!shim_ended(timeout)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    finish();
    return outcome();
}

void LinuxContainer::finish() {
    if (finished_) return;
    finished_ = true;
    for (;;) {
        auto event = report_.next();
        if (!event) break;
        if (event->kind == ShimEvent::Kind::exited) status_ = event->status;
        if (event->kind == ShimEvent::Kind::failed) error_ = std::move(event->error);
    }
    if (child_) {
        const auto shim_status = child_.wait();
        if (!status_ && shim_status.signal != 0) {
            // Nobody but the next one can clean up after a killed shim: its container died with it, the rest goes now.
            const auto removed = is_exec() ? host::Captured{} : shim_.try_run({"delete", "--force", start_.id});
            if (!removed.status.ok()) log(LogLevel::error, "remove what " + start_.id + " left: " + removed.err);
            if (!error_) {
                error_.emplace(ErrorKind::lost, "run " + start_.id + ": locald-shim was killed by signal " +
                                                    std::to_string(shim_status.signal) +
                                                    ", so the exit status is not known");
            }
        } else if (!status_ && !error_) {
            error_.emplace(ErrorKind::lost, "run " + start_.id + ": locald-shim ended without a report (exit code " +
                                                std::to_string(shim_status.code) + ")");
        }
    }
    // Given up at once: it holds the lock on the id, which may be used again from now on.
    if (const auto clean_up = std::exchange(start_.clean_up, nullptr)) clean_up();
}

runtime::ExitStatus LinuxContainer::outcome() const {
    if (status_) return *status_;
    throw error_.value_or(Error(ErrorKind::lost, "run " + start_.id + ": its end is not known"));
}

}  // namespace locald::backends
