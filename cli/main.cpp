#include <exception>
#include <string>
#include <vector>

#include "backends/storage_worker.hpp"
#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"

namespace {

/// The tool itself failed: docker's code, which no program in a container should use.
constexpr int tool_failed = 125;

int run(const std::vector<std::string>& args) {
    using namespace locald;
    if (!args.empty() && args.front() == "storage-worker") {
        return backends::storage_worker_main({args.begin() + 1, args.end()});
    }
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
