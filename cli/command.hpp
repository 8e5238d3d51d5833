#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flag_set.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// The flags that every command has.
struct Globals {
    std::string backend, host;
    bool debug = false, quiet = false;

    void add_to(FlagSet& flags);
    /// Where this command goes: `--host`, else $LOCALD_HOST, else the host in use.
    /// @throws Error for a name that there is not, and for a file of names that cannot be read
    runtime::RuntimeChoice choice() const;
};

/// A command while it runs: its own flags are members of the class that it is.
class CommandBody {
public:
    virtual ~CommandBody() = default;
    virtual void add_flags(FlagSet& flags) { (void)flags; }
    /// @param operands  what stands behind the flags, as many as the command's description says
    /// @return the exit code
    virtual int run(const Globals& globals, std::vector<std::string> operands) = 0;
};

/// What is known of a command before it is chosen.
struct Command {
    std::string_view path;      ///< `container run`
    std::string_view summary;   ///< one line
    std::string_view operands;  ///< for the usage line: `IMAGE [COMMAND [ARG…]]`
    std::size_t least = 0, most = 0;
    bool verbatim = false;  ///< flags end at the first operand: what follows belongs to somebody else's program
    std::string_view help;  ///< what `--help` says below the usage line; may have several paragraphs
    std::string_view examples;
    std::unique_ptr<CommandBody> (*make)() = nullptr;
};

/// All commands, in the order of `locald --help`.
std::span<const Command> all_commands();

template <class Body>
std::unique_ptr<CommandBody> make_body() {
    return std::make_unique<Body>();
}

}  // namespace locald::cli
