#pragma once

#include <span>
#include <string>

#include "cli/command.hpp"

namespace locald::cli {

/// `locald --help`, or `locald image --help` with a `prefix`.
std::string overview(std::span<const Command> commands, const std::string& prefix, const FlagSet& globals);

/// `locald container run --help`.
std::string command_help(const Command& command, const FlagSet& flags);

}  // namespace locald::cli
