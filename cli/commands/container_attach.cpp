#include "cli/commands/commands.hpp"
#include "cli/foreground.hpp"

namespace locald::cli {

namespace {

class ContainerAttach final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("--detach-keys", "KEYS", how_.detach_keys, "Leave it by these (default: ctrl-p,ctrl-q)");
        flags.flag("--no-stdin", how_.no_stdin, "Do not hand our stdin on");
        flags.flag("--sig-proxy", how_.sig_proxy, "Hand signals on when there is no terminal (default: true)");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        return attach_in_foreground(*runtime, operands.front(), how_);
    }

private:
    Attached how_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_attach() { return make_body<ContainerAttach>(); }

}  // namespace locald::cli
