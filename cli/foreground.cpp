#include "cli/foreground.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "cli/foreground_pump.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "core/base/error.hpp"
#include "core/host/terminal.hpp"

namespace locald::cli {

namespace {

/// Raw mode that is left even when this program crashes: faults put the terminal back before they end us.
class GuardedRawMode {
public:
    explicit GuardedRawMode(int fd) : raw_(fd) {
        active = &raw_;
        for (std::size_t i = 0; i < faults.size(); ++i) {
            struct sigaction action {};
            action.sa_handler = [](int number) {
                active->restore();
                host::SignalQueue::die_by(number);
            };
            action.sa_flags = static_cast<int>(SA_RESETHAND);
            ::sigaction(faults.at(i), &action, &before_.at(i));
        }
    }
    ~GuardedRawMode() {
        for (std::size_t i = 0; i < faults.size(); ++i) ::sigaction(faults.at(i), &before_.at(i), nullptr);
        active = nullptr;
    }
    GuardedRawMode(const GuardedRawMode&) = delete;
    GuardedRawMode& operator=(const GuardedRawMode&) = delete;

private:
    static constexpr std::array faults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static inline host::RawMode* active = nullptr;
    host::RawMode raw_;
    std::array<struct sigaction, faults.size()> before_{};
};

runtime::Stdio stdio_for(const Foreground& how) {
    runtime::Stdio stdio;
    if (how.tty) {
        stdio.mode = runtime::Stdio::Mode::pty;
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            if (!host::is_terminal(fd)) continue;
            stdio.size = host::terminal_size(fd);
            break;
        }
    } else if (!how.interactive) {
        stdio.in = -1;
    }
    return stdio;
}

void check_terminal(const Foreground& how) {
    if (how.tty && how.interactive && !host::is_terminal(STDIN_FILENO)) {
        throw Error(ErrorKind::invalid, "the input device is not a TTY")
            .with_remedy("leave out -t, or -i, or run it in a terminal");
    }
}

// How long until it is noticed that the user has left.
constexpr std::chrono::milliseconds look_at_leaving(50);

/// To its end, or until the user leaves it.
std::optional<runtime::ExitStatus> see_through(ForegroundPump& pump, runtime::ContainerHandle& container,
                                               const Foreground& how) {
    const GuardedRawMode raw(how.tty && how.interactive ? STDIN_FILENO : -1);
    pump.attach(container, how.tty && how.interactive, how.tty);
    struct Finish {
        ForegroundPump& pump;
        ~Finish() { pump.finish(); }  // also before an error leaves, since the pump uses the container
    };
    const Finish finish{pump};
    if (!how.may_leave) return container.wait();
    while (!pump.has_left()) {
        if (const auto status = container.wait_for(look_at_leaving)) return status;
    }
    return std::nullopt;
}

}  // namespace

int attach_in_foreground(runtime::ContainerRuntime& runtime, const std::string& id, const Attached& how) {
    const auto info = runtime.container(id);
    Foreground streams;
    streams.tty = info.tty;
    streams.interactive = info.open_stdin && !how.no_stdin;
    streams.may_leave = true;
    check_terminal(streams);
    ForegroundPump pump(info.tty);
    pump.may_leave(info.tty ? DetachKeys(how.detach_keys) : DetachKeys(), how.sig_proxy && !info.tty);
    const auto container = runtime.attach(info.id, {}, stdio_for(streams));
    if (const auto status = see_through(pump, *container, streams)) return status->exit_code();
    if (const auto signal = pump.left_by()) return runtime::ExitStatus{0, *signal}.exit_code();
    note("left container " + info.id + ", which goes on");
    return 0;
}

namespace {

/// Of what cannot be left.
int exit_code_of(const std::optional<runtime::ExitStatus>& status) {
    if (!status) throw Error(ErrorKind::lost, "wait for the program: it was left, and its exit status is not known");
    return status->exit_code();
}

}  // namespace

int exec_in_foreground(runtime::ContainerRuntime& runtime, const std::string& id, const runtime::ExecOptions& options,
                       const Foreground& how) {
    check_terminal(how);
    ForegroundPump pump(how.tty);
    const auto process = runtime.exec(id, options, stdio_for(how));
    return exit_code_of(see_through(pump, *process, how));
}

namespace {

void note_picked_ports(const bundle::RunOptions& asked, const runtime::ContainerHandle& container) {
    const auto ports = container.ports();
    for (std::size_t i = 0; i < ports.size() && i < asked.ports.size(); ++i) {
        if (asked.ports[i].host_port != 0) continue;
        const auto& address = ports[i].address.empty() ? std::string("localhost") : ports[i].address;
        const bool is_six = address.find(':') != std::string::npos;
        note("port " + std::to_string(ports[i].container_port) + " of the container is " +
             (is_six ? "[" + address + "]" : address) + ":" + std::to_string(ports[i].host_port));
    }
}

}  // namespace

int run_in_foreground(runtime::ContainerRuntime& runtime, const bundle::Source& source,
                      const bundle::RunOptions& options, const Foreground& how) {
    check_terminal(how);
    ForegroundPump pump(how.tty);
    std::unique_ptr<runtime::ContainerHandle> container;
    {
        ProgressLine progress(how.quiet);
        try {
            container = runtime.run_container(source, options, stdio_for(how), progress.sink(), pump.cancel());
        } catch (const Error& e) {
            progress.clear();
            const auto signal = pump.cancelled_by();
            if (e.kind() != ErrorKind::cancelled || !signal) throw;
            note(e.what());
            return runtime::ExitStatus{0, *signal}.exit_code();
        }
    }
    if (const auto signal = pump.cancelled_by(); signal && container->drops(*signal)) {
        container.reset();  // kills it
        note("cancelled while the container was being started");
        return runtime::ExitStatus{0, *signal}.exit_code();
    }
    if (!how.quiet) {
        for (const auto& warning : container->warnings()) note("warning: " + warning);
        note_picked_ports(options, *container);
    }
    return exit_code_of(see_through(pump, *container, how));
}

}  // namespace locald::cli
