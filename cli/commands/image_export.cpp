#include <unistd.h>

#include "cli/commands/commands.hpp"
#include "cli/long_call.hpp"
#include "core/base/error.hpp"
#include "core/host/terminal.hpp"

namespace locald::cli {

namespace {

class ImageExport final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const std::string& path = operands.at(1);
        if (path == "-" && host::is_terminal(STDOUT_FILENO)) {
            throw Error(ErrorKind::invalid, "an archive is nothing to show on a terminal")
                .with_remedy("name a file, or redirect stdout");
        }
        const auto runtime = runtime::make_runtime(globals.choice());
        return run_long_call(globals.quiet, [&](const ProgressSink& progress, const CancelToken& cancel) {
            runtime->images().export_to(operands.at(0), path, progress, cancel);
        });
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_image_export() { return make_body<ImageExport>(); }

}  // namespace locald::cli
