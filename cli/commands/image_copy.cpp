#include "cli/commands/commands.hpp"
#include "cli/image_result.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class ImageCopy final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("--json", json_, "Print what was copied as a JSON object instead of its id");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto there = globals.choice();
        if (there.host.empty()) {
            throw Error(ErrorKind::invalid, "copy " + operands.at(0) + ": to which host is not said")
                .with_remedy("name it: locald --host ssh://user@host image copy " + operands.at(0));
        }
        auto here = there;
        here.host.clear();
        const auto source = runtime::make_runtime(here)->images().layout_of(operands.at(0));
        const std::string name_as = operands.size() > 1 ? operands.at(1) : source.text;
        const auto runtime = runtime::make_runtime(there);
        return bring_image(globals, json_, [&](const ProgressSink& progress, const CancelToken& cancel) {
            return runtime->images().import(source, name_as, progress, cancel);
        });
    }

private:
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_image_copy() { return make_body<ImageCopy>(); }

}  // namespace locald::cli
