#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "backends/keeper.hpp"
#include "backends/linux/detached/keeper.hpp"
#include "backends/linux/detached/start_keeper.hpp"
#include "backends/linux/linux_runtime.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;

// Who ends this process by a signal (a host that shuts down) ends the container as `container stop` does.
constexpr auto grace_at_shutdown = 10s;

/// Stops the container at SIGTERM.
class TermWatch {
public:
    explicit TermWatch(Keeper& keeper) {
        ::sigemptyset(&set_);
        ::sigaddset(&set_, SIGTERM);
        ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);  // for all threads that begin from now on
        thread_ = std::thread([this, &keeper] {
            int number = 0;
            if (::sigwait(&set_, &number) != 0 || done_) return;
            try {
                keeper.stop({}, grace_at_shutdown);
            } catch (const Error& e) {
                log(LogLevel::debug, e.what());
            }
        });
    }
    ~TermWatch() {
        done_ = true;
        ::pthread_kill(thread_.native_handle(), SIGTERM);
        thread_.join();
    }
    TermWatch(const TermWatch&) = delete;
    TermWatch& operator=(const TermWatch&) = delete;

private:
    sigset_t set_{};
    std::atomic<bool> done_ = false;
    std::thread thread_;
};

}  // namespace

int keeper_main(const std::vector<std::string>& words) {
    const auto choice = parse_keeper_words(words);
    // Nobody's child: whoever started us waits for the process that ends here, and need not know when we do.
    const pid_t child = ::fork();
    if (child < 0) throw_errno(errno, "start a keeper: fork");
    if (child > 0) ::_exit(0);
    for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT}) std::signal(number, SIG_IGN);
    const int link = ::fcntl(keeper_link, F_DUPFD_CLOEXEC, keeper_link + 1);
    if (link < 0) throw_errno(errno, "take the link over");
    ::close(keeper_link);
    Keeper keeper(make_linux_runtime_of_keeper(choice), choice.data_directory, choice.runtime_directory);
    const TermWatch watch(keeper);
    keeper.run(link);
    return 0;
}

}  // namespace locald::backends
