#include "cli/image_result.hpp"

#include "cli/image_json.hpp"
#include "cli/long_call.hpp"
#include "cli/output.hpp"

namespace locald::cli {

int bring_image(const Globals& globals, bool as_json,
                const std::function<runtime::ImageSummary(const ProgressSink&, const CancelToken&)>& call) {
    runtime::ImageSummary image;
    const int code = run_long_call(globals.quiet, [&](const ProgressSink& progress, const CancelToken& cancel) {
        image = call(progress, cancel);
    });
    if (code != 0) return code;
    if (!globals.quiet) note(image.name + ": " + human_size(image.size) + " for " + image.platform);
    print(as_json ? image_json(image) : image.id + "\n");
    return 0;
}

}  // namespace locald::cli
