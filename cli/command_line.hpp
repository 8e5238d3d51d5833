#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/command.hpp"

namespace locald::cli {

/// A command line that was understood: a command to run, or a text to print instead.
struct CommandLine {
    const Command* command = nullptr;
    std::unique_ptr<CommandBody> body;
    Globals globals;
    std::vector<std::string> operands;
    std::string text;  ///< of `--help` and `--version`; nothing runs then
};

/// @param args  without the program's own name
/// @throws Error(invalid) whose remedy names the help to read
CommandLine parse_command_line(std::span<const Command> commands, const std::vector<std::string>& args);

}  // namespace locald::cli
