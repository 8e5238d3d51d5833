#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "shim/options/command_line.hpp"

namespace locald::shim {

/// What the command line asks for: a verb's deed, or one of the texts.
enum class Wanted { verb, help, version, bare_version };

struct CommandLine {
    Globals globals;
    Wanted wanted = Wanted::verb;
    std::size_t at = 0;  ///< of the verb; the number of words when there is none
};

/// Reads the options in front of the verb. @throws UsageError
CommandLine read_globals(const std::vector<std::string>& words);

}  // namespace locald::shim
