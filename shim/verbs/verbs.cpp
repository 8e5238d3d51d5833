#include "shim/verbs/verbs.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/version.hpp"
#include "shim/base/log.hpp"
#include "shim/container/admission.hpp"
#include "shim/container/for_owner.hpp"
#include "shim/container/state.hpp"
#include "shim/options/global_options.hpp"

namespace locald::shim {

namespace {

constexpr std::array verbs{
    &bundle_verb,   &create_verb, &start_verb,      &run_verb,     &exec_verb, &state_verb,  &list_verb,
    &kill_verb,     &delete_verb, &pause_verb,      &resume_verb,  &ps_verb,   &update_verb, &events_verb,
    &features_verb, &spec_verb,   &checkpoint_verb, &restore_verb, &init_verb, &userns_verb, &policy_verb,
};

constexpr const char* help_head =
    "locald-shim is an OCI runtime: one static program that starts containers and leaves nothing behind.\n"
    "\n"
    "Usage: locald-shim [OPTION...] VERB [ARGUMENT...]\n"
    "\n";

constexpr const char* help_tail =
    "\n"
    "  --root DIR             where states are kept (default: /run/locald/<uid>, which the first setuid start of a\n"
    "                         user makes; without it $XDG_RUNTIME_DIR/locald, else /tmp/locald-<uid>. A container is\n"
    "                         looked for in all of these. For you: @)\n"
    "  --log FILE             append errors and warnings to FILE as well (also file:FILE, journald:NAME, syslog:NAME)\n"
    "  --log-format FORMAT    text or json (default: text)\n"
    "  --log-level LEVEL      error, warning or debug (default: warning)\n"
    "  --debug                the same as --log-level debug\n"
    "  --systemd-cgroup       let systemd make the cgroup; cgroupsPath is slice:prefix:name\n"
    "  --cgroup-manager NAME  cgroupfs, systemd or disabled (default: cgroupfs)\n"
    "  --rootless VALUE       auto, true or false; kept for other runtimes' callers, the rights decide\n"
    "  --criu FILE            the criu program that checkpoint and restore use (default: in\n"
    "                         /usr/sbin, /usr/bin, /usr/local/sbin or /usr/local/bin)\n"
    "  --shim-version         print the version alone\n"
    "  -v, --version          print version, commit and the version of the runtime specification\n"
    "  -h, --help             print this; after a verb, print its help\n"
    "\n"
    "Exit codes: run, bundle and exec end with the container's own, 128+n when signal n killed it. Failures of the\n"
    "runtime: bundle 125 (126 the program cannot be executed, 127 it was not found), exec 255, all others 1; 2 wrong\n"
    "arguments.\n";

std::string general_help() {
    std::string text = help_head;
    for (const Verb* verb : verbs) text += verb->summary;
    text += help_tail;
    return text.replace(text.find('@'), 1, default_root());
}

void complain(const std::string& text) {
    const std::string line = "locald-shim: " + text + "\n";
    static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()) >= 0);
    log(LogLevel::error, text);
}

std::string version_text() {
    return "locald-shim version " + std::string(version) + "\ncommit: " + std::string(commit) + "\nspec: 1.3.0\n";
}

const Verb& find_verb(const std::string& name) {
    for (const Verb* verb : verbs) {
        if (verb->name == name) return *verb;
    }
    throw UsageError("unknown verb \"" + name + "\"");
}

int dispatch(const std::vector<std::string>& words) {
    const CommandLine parsed = read_globals(words);
    if (parsed.wanted != Wanted::verb) {
        print(parsed.wanted == Wanted::help      ? general_help()
              : parsed.wanted == Wanted::version ? version_text()
                                                 : std::string(version) + "\n");
        return 0;
    }
    if (parsed.at == words.size()) throw UsageError("a verb is missing");
    if (words[parsed.at] == "help") {
        print(parsed.at + 1 < words.size() ? find_verb(words[parsed.at + 1]).help : general_help());
        return 0;
    }
    const Verb& verb = find_verb(words[parsed.at]);
    if (!parsed.globals.log.empty()) open_log(parsed.globals.log, parsed.globals.log_json, parsed.globals.debug);
    Walker walker(words, parsed.at + 1, std::string(verb.name), verb.usage_exit_code);
    try {
        if (&verb != &bundle_verb) check_admitted();  // which has a report to write it to
        if (verb.for_owner) become_owner_of(parsed.globals.root);
        return verb.run(parsed.globals, walker);
    } catch (const HelpWanted&) {
        print(verb.help);
        return 0;
    }
}

}  // namespace

void print(const std::string& text) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "write to standard output");
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
}

int run_command_line(const std::vector<std::string>& words) {
    try {
        return dispatch(words);
    } catch (const UsageError& e) {
        complain(std::string(e.what()) + "; `locald-shim --help` shows the usage");
        return e.exit_code();
    } catch (const std::exception& e) {
        complain(e.what());
        return 1;
    }
}

}  // namespace locald::shim
