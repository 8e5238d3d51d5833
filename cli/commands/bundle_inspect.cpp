#include <nlohmann/json.hpp>

#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::cli {

namespace {

class BundleInspect final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        const auto bundle = runtime->inspect_bundle(operands.at(0));
        nlohmann::ordered_json shown;
        shown["dir"] = bundle.dir;
        if (!bundle.stop_signal.empty()) shown["stopSignal"] = bundle.stop_signal;
        shown["warnings"] = bundle.warnings;
        shown["config"] = nlohmann::ordered_json::parse(oci::to_json(bundle.spec));
        print(shown.dump(2) + "\n");
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_bundle_inspect() { return make_body<BundleInspect>(); }

}  // namespace locald::cli
