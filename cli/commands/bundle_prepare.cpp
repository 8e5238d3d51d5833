#include "cli/caller.hpp"
#include "cli/commands/commands.hpp"
#include "cli/flags_run.hpp"
#include "cli/long_call.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class BundlePrepare final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags_.add_to(flags); }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const std::string destination = operands.at(1);
        operands.erase(operands.begin() + 1);
        const auto request = flags_.request(operands, this_process());
        if (!request.options.ports.empty()) {
            throw Error(ErrorKind::invalid, "--publish: a bundle is no container yet, and has no ports")
                .with_remedy("leave it out, and publish them where the bundle is run");
        }
        const auto runtime = runtime::make_runtime(globals.choice());
        bundle::ContainerBundle made;
        const int code = run_long_call(globals.quiet, [&](const ProgressSink& progress, const CancelToken& cancel) {
            made = runtime->prepare_bundle(request.source, request.options, destination, progress, cancel);
        });
        if (code != 0) return code;
        if (!globals.quiet) {
            for (const auto& warning : made.warnings) note("warning: " + warning);
        }
        print(made.dir + "\n");
        return 0;
    }

private:
    RunFlags flags_;
};

}  // namespace

std::unique_ptr<CommandBody> make_bundle_prepare() { return make_body<BundlePrepare>(); }

}  // namespace locald::cli
