#include "cli/commands/commands.hpp"
#include "cli/each_operand.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class ContainerRm final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("-f,--force", force_, "Kill it before when it runs; one that is not there is no error");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        return for_each_operand(operands, [&](const std::string& id) {
            try {
                runtime->remove(id, force_);
            } catch (const Error& e) {
                if (!force_ || e.kind() != ErrorKind::not_found) throw;
                note(e.what());
                return;
            }
            print(id + "\n");
        });
    }

private:
    bool force_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_rm() { return make_body<ContainerRm>(); }

}  // namespace locald::cli
