#include <nlohmann/json.hpp>

#include "cli/commands/commands.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class ImageInspect final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        const auto object = nlohmann::ordered_json::parse(runtime->images().inspect(operands.at(0)));
        print(object.dump(2) + "\n");
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_image_inspect() { return make_body<ImageInspect>(); }

}  // namespace locald::cli
