#include <fcntl.h>

#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "backends/agent/agent.hpp"
#include "backends/keeper.hpp"
#include "backends/storage_worker.hpp"
#include "backends/table_remote.hpp"
#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace {

/// The tool itself failed: docker's code, which no program in a container should use.
constexpr int tool_failed = 125;

/// With 0, 1 or 2 closed the next file that is opened (a pidfd, a signal pipe) would become a standard stream of the
/// container, and our words would be written into it. Reading one that was closed finds the end; writing to it fails.
void fill_standard_streams() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDONLY));
    }
}

int run(const std::vector<std::string>& args) {
    using namespace locald;
    if (!args.empty() && args.front() == "storage-worker") {
        return backends::storage_worker_main({args.begin() + 1, args.end()});
    }
    if (!args.empty() && args.front() == "keeper") return backends::keeper_main({args.begin() + 1, args.end()});
    if (!args.empty() && args.front() == "agent") return backends::agent_main({args.begin() + 1, args.end()});
    if (args.size() == 2 && args.front() == "host-holder") return runtime::hold_host(args.back());
    if (args.size() == 2 && args.front() == "port-holder") return runtime::hold_ports_of(args.back());
    const auto line = cli::parse_command_line(cli::all_commands(), args);
    if (!line.text.empty()) {
        cli::print(line.text);
        return 0;
    }
    if (line.globals.debug) set_log_level(LogLevel::debug);
    if (line.globals.quiet && !line.globals.debug) set_log_level(LogLevel::error);
    return line.body->run(line.globals, line.operands);
}

}  // namespace

int main(int argc, char** argv) {
    fill_standard_streams();
    std::signal(SIGCHLD, SIG_DFL);  // a caller who ignores it would take the exit status of our children away
    try {
        return run(argc > 1 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>());
    } catch (const locald::Error& e) {
        locald::cli::note(e.what());
        return locald::exit_code_of(e);
    } catch (const std::exception& e) {
        locald::cli::note(e.what());
        return tool_failed;
    }
}
