#pragma once

#include <string>
#include <string_view>

#include "shim/options/command_line.hpp"

namespace locald::shim {

/// One word of the command line. Its file verb_<name>.cpp has the options, the help and the deed.
struct Verb {
    std::string_view name;
    const char* summary;  ///< its lines in the general help; empty: not listed
    const char* help;
    /// Does it; returns the exit code and throws UsageError or Error.
    int (*run)(const Globals& globals, Walker& walker);
    int usage_exit_code = 2;
    /// Root who names a user's state directory does it with that user's rights; no program is started for it.
    bool for_owner = false;
};

// Each in its own file; the table of them is verbs.cpp.
extern const Verb bundle_verb, create_verb, run_verb, start_verb, exec_verb, state_verb, list_verb, kill_verb,
    delete_verb, features_verb, spec_verb, checkpoint_verb, restore_verb, init_verb, pause_verb, resume_verb, ps_verb,
    update_verb, events_verb, userns_verb, policy_verb;

/// Runs the command line (argv without the program's name). Every error ends up as one line on standard error and in
/// the log. @return the exit code
int run_command_line(const std::vector<std::string>& words);

/// Writes all of `text` to standard output.
void print(const std::string& text);

}  // namespace locald::shim
