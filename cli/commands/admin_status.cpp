#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "cli/setup_report.hpp"

namespace locald::cli {

namespace {

class AdminStatus final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("--json", json_, "Print a JSON object");
        flags.text("--prefix", "DIR", options_.prefix, "Where it was installed (default /usr/local)");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        std::vector<runtime::SetupStep> steps;
        runtime::make_runtime(globals.choice())->host_setup().status(options_, [&](const runtime::SetupStep& step) {
            steps.push_back(step);
        });
        if (json_) {
            print(setup_json(steps));
        } else {
            for (const auto& step : steps) print(setup_text(step));
        }
        return setup_exit_code(steps);
    }

private:
    runtime::SetupOptions options_;
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_admin_status() { return make_body<AdminStatus>(); }

}  // namespace locald::cli
