#include <string_view>

#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

/// Whether `operand` said which image by its id, as `image ls` shows it, and not by one of its names.
bool names_by_id(std::string_view operand, std::string_view id) {
    constexpr std::string_view prefix = "sha256:";
    if (operand.starts_with(prefix)) operand.remove_prefix(prefix.size());
    if (id.starts_with(prefix)) id.remove_prefix(prefix.size());
    return id.starts_with(operand);
}

/// By a name the others stay; by an id the image is meant, so every name it has here goes.
void remove_and_print(runtime::Images& images, const std::string& operand) {
    const auto removed = images.remove(operand);
    print(removed.name + "\n");
    if (!names_by_id(operand, removed.id)) return;
    for (const auto& image : images.list()) {
        if (image.id == removed.id) print(images.remove(image.name).name + "\n");
    }
}

class ImageRm final : public CommandBody {
public:
    /// One that cannot be removed does not keep the others; the first failure decides on the exit code.
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto runtime = runtime::make_runtime(globals.choice());
        int code = 0;
        for (const auto& operand : operands) {
            try {
                remove_and_print(runtime->images(), operand);
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
