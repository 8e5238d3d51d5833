#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "cli/setup_report.hpp"

namespace locald::cli {

namespace {

class AdminSetup final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("--group", "GROUP", options_.group, "Only members of GROUP may run the installed shim");
        flags.flag("--dry-run", options_.dry_run, "Say what would be done and do nothing");
        flags.text("--prefix", "DIR", options_.prefix,
                   "Install below DIR/libexec/locald; a locald in DIR/bin finds it there (default /usr/local)");
        flags.flag("--write-subids", options_.write_subids,
                   "Write the lines of /etc/subuid and /etc/subgid that a directory user lacks");
        flags.text("--set-max-user-namespaces", "N", options_.max_user_namespaces,
                   "Set user.max_user_namespaces, for a host where it is 0");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        bool changes = false;
        runtime::make_runtime(globals.choice())->host_setup().set_up(options_, [&](const runtime::SetupStep& step) {
            changes = changes || step.state == runtime::SetupStep::State::done ||
                      step.state == runtime::SetupStep::State::would;
            if (!globals.quiet) print_of_work(setup_text(step));
        });
        if (!changes && !globals.quiet) print_of_work("All is as it should be; nothing was changed.\n");
        return 0;
    }

private:
    runtime::SetupOptions options_;
};

}  // namespace

std::unique_ptr<CommandBody> make_admin_setup() { return make_body<AdminSetup>(); }

}  // namespace locald::cli
