#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "backends/agent/agent.hpp"
#include "backends/agent/bulk.hpp"

namespace locald::backends {

int agent_main(const std::vector<std::string>& words) {
    const bool is_bulk = words == std::vector<std::string>{"--bulk"};
    if (!is_bulk && words != std::vector<std::string>{"--stdio"}) {
        throw Error(ErrorKind::invalid, "agent: expected --stdio or --bulk and nothing else")
            .with_remedy("it is started by `locald --host`, not by people");
    }
    // The link gets numbers of its own, so that nothing that prints can write into it.
    const int in = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    const int out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (in < 0 || out < 0 || null < 0) throw_errno(errno, "take the link over");
    ::dup2(null, STDIN_FILENO);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::close(null);
    // The link's end is what ends an agent.
    for (const int number : {SIGPIPE, SIGHUP, SIGINT}) std::signal(number, SIG_IGN);
    const auto runtime = runtime::make_runtime();
    is_bulk ? serve_bulk(*runtime, in, out) : serve_agent(*runtime, in, out);
    return 0;
}

}  // namespace locald::backends
