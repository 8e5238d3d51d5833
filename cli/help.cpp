#include "cli/help.hpp"

#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::size_t width = 100;

std::string paragraphs(std::string_view text) {
    std::string out;
    for (const auto paragraph : split(text, '\n')) {
        out += paragraph.empty() ? "\n" : wrap(paragraph, 0, width);
    }
    return out;
}

std::string indented(std::string_view text) {
    std::string out;
    for (const auto line : split(text, '\n')) out += line.empty() ? "\n" : "  " + std::string(line) + "\n";
    return out;
}

}  // namespace

std::string overview(std::span<const Command> commands, const std::string& prefix, const FlagSet& globals) {
    constexpr std::size_t column = 20;
    std::string out = "Usage: locald " + (prefix.empty() ? "" : prefix + " ") + "COMMAND\n";
    if (prefix.empty()) {
        out += "\n" + paragraphs("Runs containers: an image goes in, its program's exit status comes out.");
    }
    out += "\nCommands:\n";
    for (const auto& command : commands) {
        if (!prefix.empty() && !command.path.starts_with(prefix + " ")) continue;
        std::string line = wrap(command.summary, column + 2, width);
        out += line.replace(2, command.path.size(), command.path);
    }
    out += globals.help(width);
    out += "\n`locald COMMAND --help` says more.\n";
    return out;
}

std::string command_help(const Command& command, const FlagSet& flags) {
    std::string out = "Usage: locald " + std::string(command.path) + " [OPTIONS]";
    if (!command.operands.empty()) out += " " + std::string(command.operands);
    out += "\n\n" + paragraphs(command.summary);
    if (!command.help.empty()) out += "\n" + paragraphs(command.help);
    out += flags.help(width);
    if (!command.examples.empty()) out += "\nExamples:\n" + indented(command.examples);
    return out;
}

}  // namespace locald::cli
