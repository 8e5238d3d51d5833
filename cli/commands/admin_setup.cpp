#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "cli/setup_report.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class AdminSetup final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("--group", "GROUP", group_, "Only members of GROUP may run the installed shim");
        flags.flag("--dry-run", options_.dry_run, "Say what would be done and do nothing");
        flags.text("--prefix", "DIR", options_.prefix,
                   "Install below DIR/libexec/locald; a locald in DIR/bin finds it there (default /usr/local)");
        flags.flag("--write-subids", options_.write_subids,
                   "For whoever typed sudo, when a directory (LDAP, SSSD) knows him and /etc/passwd does not: write a "
                   "range of "
                   "ids for his number into /etc/subuid and /etc/subgid");
        flags.text("--set-max-user-namespaces", "N", options_.max_user_namespaces,
                   "Set user.max_user_namespaces, for a host where it is 0");
    }

    int run(const Globals& globals, std::vector<std::string>) override {
        if (group_ && group_->empty()) {
            throw Error(ErrorKind::invalid, "--group \"\": the name of the group is empty")
                .with_remedy("leave the option out for everybody");
        }
        options_.group = group_.value_or("");
        bool changes = false;
        bool wrong = false;
        runtime::make_runtime(globals.choice())->host_setup().set_up(options_, [&](const runtime::SetupStep& step) {
            changes = changes || step.state == runtime::SetupStep::State::done ||
                      step.state == runtime::SetupStep::State::would;
            wrong = wrong || step.state == runtime::SetupStep::State::wrong;
            if (!globals.quiet) print_of_work(setup_text(step));
        });
        if (globals.quiet) return 0;
        if (wrong) {
            print_of_work("What is marked `wrong` is not setup's to change: root has to see to it by hand.\n");
        } else if (!changes) {
            print_of_work("All is as it should be; nothing was changed.\n");
        }
        return 0;
    }

private:
    runtime::SetupOptions options_;
    std::optional<std::string> group_;
};

}  // namespace

std::unique_ptr<CommandBody> make_admin_setup() { return make_body<AdminSetup>(); }

}  // namespace locald::cli
