#include <filesystem>
#include <system_error>

#include "cli/caller.hpp"
#include "cli/commands/commands.hpp"
#include "cli/flags_run.hpp"
#include "cli/foreground.hpp"
#include "cli/long_call.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

/// docker's habit of `-v`: a source that does not exist becomes a directory. It is said, since it may be a typing
/// error.
void make_missing_sources(const RunRequest& request, bool quiet) {
    for (const auto& source : request.volume_sources) {
        std::error_code error;
        if (std::filesystem::create_directories(source, error) && !quiet) {
            note("made directory " + source + ", which did not exist");
        }
        // Something that is no directory, or may not be made: the mount itself says what is wrong.
    }
}

int run_in_background(runtime::ContainerRuntime& runtime, const RunRequest& request, bool quiet) {
    runtime::DetachedStart started;
    const int code = run_long_call(quiet, [&](const ProgressSink& progress, const CancelToken& cancel) {
        started = runtime.run_detached(request.source, request.options, {request.interactive, request.remove}, progress,
                                       cancel);
    });
    if (code != 0) return code;
    if (!quiet) {
        for (const auto& warning : started.warnings) note("warning: " + warning);
    }
    print(started.id + "\n");
    return 0;
}

class ContainerRun final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags_.add_to(flags); }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto request = flags_.request(operands, this_process());
        const auto choice = globals.choice();
        const auto runtime = runtime::make_runtime(choice);
        if (choice.host.empty()) make_missing_sources(request, globals.quiet);
        if (request.detach) return run_in_background(*runtime, request, globals.quiet);
        return run_in_foreground(*runtime, request.source, request.options,
                                 {request.interactive, request.options.tty, globals.quiet});
    }

private:
    RunFlags flags_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_run() { return make_body<ContainerRun>(); }

}  // namespace locald::cli
