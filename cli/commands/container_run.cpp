#include <filesystem>
#include <system_error>

#include "cli/caller.hpp"
#include "cli/commands/commands.hpp"
#include "cli/flags_run.hpp"
#include "cli/foreground.hpp"
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

class ContainerRun final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags_.add_to(flags); }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto request = flags_.request(operands, this_process());
        const auto runtime = runtime::make_runtime(globals.choice());
        if (globals.host.empty()) make_missing_sources(request, globals.quiet);
        return run_in_foreground(*runtime, request.source, request.options,
                                 {request.interactive, request.options.tty, globals.quiet});
    }

private:
    RunFlags flags_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_run() { return make_body<ContainerRun>(); }

}  // namespace locald::cli
