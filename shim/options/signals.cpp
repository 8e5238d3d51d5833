#include "shim/options/signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/signal_name.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

// A fault of ours must end us; blocked, it would loop.
constexpr std::array faults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
// Ours alone: children that end, readers that went away, terminal writes from the background.
constexpr std::array own{SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU};

}  // namespace

UniqueFd take_signals() {
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t mask;
    ::sigfillset(&mask);
    for (const int number : faults) ::sigdelset(&mask, number);
    if (::sigprocmask(SIG_SETMASK, &mask, nullptr) != 0) throw_errno(errno, "block signals");
    for (const int number : own) ::sigdelset(&mask, number);
    UniqueFd signals(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) throw_errno(errno, "signalfd");
    return signals;
}

std::optional<int> next_signal(const UniqueFd& signals) {
    signalfd_siginfo info{};
    ssize_t n = 0;
    do {
        n = ::read(signals.get(), &info, sizeof info);
    } while (n < 0 && errno == EINTR);
    if (n != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
}

int parse_signal(const std::string& text) { return text == "0" ? 0 : locald::parse_signal(text); }

}  // namespace locald::shim
