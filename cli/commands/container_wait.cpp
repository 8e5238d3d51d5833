#include "cli/commands/commands.hpp"
#include "cli/each_operand.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class ContainerWait final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        return for_each_operand(
            operands, [&](const std::string& id) { print(std::to_string(runtime->wait(id, {}).exit_code()) + "\n"); });
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_container_wait() { return make_body<ContainerWait>(); }

}  // namespace locald::cli
