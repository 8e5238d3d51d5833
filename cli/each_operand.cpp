#include "cli/each_operand.hpp"

#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

int for_each_operand(const std::vector<std::string>& operands, const std::function<void(const std::string&)>& deed) {
    int code = 0;
    for (const auto& operand : operands) {
        try {
            deed(operand);
        } catch (const Error& e) {
            note(e.what());
            if (code == 0) code = exit_code_of(e);
        }
    }
    return code;
}

}  // namespace locald::cli
