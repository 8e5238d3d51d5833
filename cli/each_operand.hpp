#pragma once

#include <functional>
#include <string>
#include <vector>

namespace locald::cli {

/// Does something with every operand. One that fails does not keep the others; the first failure decides.
/// @return the exit code
int for_each_operand(const std::vector<std::string>& operands, const std::function<void(const std::string&)>& deed);

}  // namespace locald::cli
