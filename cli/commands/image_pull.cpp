#include "cli/commands/commands.hpp"
#include "cli/image_result.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"

namespace locald::cli {

namespace {

class ImagePull final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("--platform", "OS/ARCH", platform_, "Take the image of this platform, like linux/arm64");
        flags.flag("--json", json_, "Print what was fetched as a JSON object instead of its id");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto name = oci::parse_image_name(operands.at(0));
        runtime::PullOptions options;
        if (!platform_.empty()) options.platform = oci::parse_platform(platform_);
        const auto runtime = runtime::make_runtime(globals.choice());
        return bring_image(globals, json_, [&](const ProgressSink& progress, const CancelToken& cancel) {
            return runtime->images().pull(name, options, progress, cancel);
        });
    }

private:
    std::string platform_;
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_image_pull() { return make_body<ImagePull>(); }

}  // namespace locald::cli
