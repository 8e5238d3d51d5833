#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class ImageRm final : public CommandBody {
public:
    /// One that cannot be removed does not keep the others; the first failure decides on the exit code.
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        int code = 0;
        for (const auto& operand : operands) {
            try {
                print(runtime->images().remove(operand).name + "\n");
            } catch (const Error& e) {
                if (operands.size() == 1) throw;
                note(e.what());
                if (code == 0) code = exit_code_of(e);
            }
        }
        return code;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_image_rm() { return make_body<ImageRm>(); }

}  // namespace locald::cli
