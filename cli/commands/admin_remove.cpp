#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "cli/setup_report.hpp"

namespace locald::cli {

namespace {

class AdminRemove final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("--dry-run", options_.dry_run, "Say what would be removed and do nothing");
        flags.text("--prefix", "DIR", options_.prefix, "Where it was installed (default /usr/local)");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        runtime::make_runtime(globals.choice())->host_setup().remove(options_, [&](const runtime::SetupStep& step) {
            if (!globals.quiet) print_of_work(setup_text(step));
        });
        return 0;
    }

private:
    runtime::SetupOptions options_;
};

}  // namespace

std::unique_ptr<CommandBody> make_admin_remove() { return make_body<AdminRemove>(); }

}  // namespace locald::cli
