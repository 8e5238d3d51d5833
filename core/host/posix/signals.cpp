#include "core/host/signals.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

std::atomic<int> write_end = -1;
static_assert(std::atomic<int>::is_always_lock_free, "the handler may run at any moment");

void write_number(int number) {
    const int saved = errno;
    const auto byte = static_cast<unsigned char>(number);
    // A full pipe means thousands of unread signals: one more or less does not matter.
    if (::write(write_end.load(), &byte, 1) < 0) errno = saved;
    errno = saved;
}

}  // namespace

SignalQueue::SignalQueue(const std::vector<int>& numbers) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw_errno(errno, "make a pipe for signals");
    read_end_ = ends[0];
    write_end.store(ends[1]);
    before_.reserve(numbers.size());
    for (const int number : numbers) {
        struct sigaction before {};
        if (::sigaction(number, nullptr, &before) != 0) continue;
        if ((before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_IGN) continue;
        struct sigaction action {};
        action.sa_handler = write_number;
        action.sa_flags = SA_RESTART;
        ::sigfillset(&action.sa_mask);
        if (::sigaction(number, &action, nullptr) == 0) before_.push_back({number, before});
    }
}

SignalQueue::~SignalQueue() {
    for (const auto& before : before_) ::sigaction(before.number, &before.action, nullptr);
    ::close(write_end.exchange(-1));
    ::close(read_end_);
}

std::optional<int> SignalQueue::next() noexcept {
    unsigned char byte = 0;
    for (;;) {
        const auto got = ::read(read_end_, &byte, 1);
        if (got == 1) return byte;
        if (got == 0 || errno != EINTR) return std::nullopt;
    }
}

void SignalQueue::die_by(int number) noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(number, &action, nullptr);
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, number);
    ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    ::kill(::getpid(), number);
}

std::vector<int> forwardable_signals() {
    std::vector<int> numbers{SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
                             SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGCONT};
    for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) numbers.push_back(number);
    return numbers;
}

}  // namespace locald::host
