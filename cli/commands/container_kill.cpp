#include "cli/commands/commands.hpp"
#include "cli/each_operand.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/signal_name.hpp"

namespace locald::cli {

namespace {

class ContainerKill final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("-s,--signal", "SIGNAL", signal_, "By name or number (default: KILL)");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const int number = in_step("--signal", [&] { return parse_signal(signal_); });
        const auto runtime = runtime::make_runtime(globals.choice());
        return for_each_operand(operands, [&](const std::string& id) {
            runtime->kill(id, number);
            print(id + "\n");
        });
    }

private:
    std::string signal_ = "KILL";
};

}  // namespace

std::unique_ptr<CommandBody> make_container_kill() { return make_body<ContainerKill>(); }

}  // namespace locald::cli
