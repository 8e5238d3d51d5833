#include <unistd.h>

#include <string_view>

#include "cli/commands/commands.hpp"
#include "cli/long_call.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
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
        for (const std::string_view kind : {"oci:", "oci-archive:", "docker-archive:"}) {
            if (!path.starts_with(kind)) continue;
            throw Error(ErrorKind::invalid,
                        "export to " + json_quote(path) + ": a path stands here without " + std::string(kind))
                .with_remedy("a directory to export to ends in a slash, all else is a tar file; ./" + path +
                             " is the file of this name");
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
