#include "core/base/version.hpp"

#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/text.hpp"
#include "core/oci/image_spec.hpp"

namespace locald::cli {

namespace {

class Version final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags.flag("--json", json_, "Print a JSON object"); }

    int run(const Globals&, std::vector<std::string>) override {
        const std::string platform = oci::host_platform().str();
        if (json_) {
            print("{\"version\":" + json_quote(version) + ",\"commit\":" + json_quote(commit) +
                  ",\"platform\":" + json_quote(platform) + "}\n");
        } else {
            print("locald " + std::string(version) + " (commit " + std::string(commit) + ", " + platform + ")\n");
        }
        return 0;
    }

private:
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_version() { return make_body<Version>(); }

}  // namespace locald::cli
