#include "shim/options/signals.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

// A fault of ours must end us; blocked, it would loop.
constexpr std::array faults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
// Ours alone: children that end, readers that went away, terminal writes from the background.
constexpr std::array own{SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU};

struct Name {
    std::string_view name;
    int number;
};
constexpr std::array names{
    Name{"HUP", SIGHUP},       Name{"INT", SIGINT},   Name{"QUIT", SIGQUIT}, Name{"ILL", SIGILL},
    Name{"TRAP", SIGTRAP},     Name{"ABRT", SIGABRT}, Name{"IOT", SIGABRT},  Name{"BUS", SIGBUS},
    Name{"FPE", SIGFPE},       Name{"KILL", SIGKILL}, Name{"USR1", SIGUSR1}, Name{"SEGV", SIGSEGV},
    Name{"USR2", SIGUSR2},     Name{"PIPE", SIGPIPE}, Name{"ALRM", SIGALRM}, Name{"TERM", SIGTERM},
    Name{"STKFLT", SIGSTKFLT}, Name{"CHLD", SIGCHLD}, Name{"CONT", SIGCONT}, Name{"STOP", SIGSTOP},
    Name{"TSTP", SIGTSTP},     Name{"TTIN", SIGTTIN}, Name{"TTOU", SIGTTOU}, Name{"URG", SIGURG},
    Name{"XCPU", SIGXCPU},     Name{"XFSZ", SIGXFSZ}, Name{"PROF", SIGPROF}, Name{"WINCH", SIGWINCH},
    Name{"VTALRM", SIGVTALRM}, Name{"IO", SIGIO},     Name{"POLL", SIGIO},   Name{"PWR", SIGPWR},
    Name{"SYS", SIGSYS},
};

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

int parse_signal(const std::string& text) {
    if (const auto number = parse_u64(text); number && *number < static_cast<std::uint64_t>(NSIG)) {
        return static_cast<int>(*number);
    }
    std::string upper;
    for (const char c : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (upper.starts_with("SIG")) upper.erase(0, 3);
    for (const auto& entry : names) {
        if (entry.name == upper) return entry.number;
    }
    throw Error(ErrorKind::invalid, "unknown signal \"" + text + "\"");
}

}  // namespace locald::shim
