#include "shim/options.hpp"

#include <unistd.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "core/base/text.hpp"

namespace locald::shim {

namespace {

constexpr const char* general_help =
    "locald-shim runs one OCI container and ends when it ends.\n"
    "\n"
    "Usage: locald-shim [--root DIR] VERB [ARGUMENT...]\n"
    "\n"
    "  bundle run --bundle PATH --id ID   run the bundle in the foreground; exit with the container's status\n"
    "  bundle PATH                        the same, the id is locald-bootstrap-<pid>\n"
    "  state ID                           print the container's state as JSON\n"
    "  list [-q] [-f table|json]          print the containers below the root\n"
    "  kill ID [SIGNAL]                   send a signal (default TERM) to the container's first process\n"
    "  delete [--force] ID                remove what is left of a container; --force kills it first\n"
    "  features                           print what this runtime can do, as JSON\n"
    "  init -- COMMAND [ARGUMENT...]      run COMMAND, forward signals to it and reap orphans (first process inside)\n"
    "\n"
    "  --root DIR        where states are kept (default: /run/locald/0 for root; for others\n"
    "                    $XDG_RUNTIME_DIR/locald, else /tmp/locald-<uid>)\n"
    "  --shim-version    print the version alone\n"
    "  -v, --version     print version, commit and the version of the runtime specification\n"
    "  -h, --help        print this; after a verb, print its help\n"
    "\n"
    "Exit codes: the container's own, 128+n when signal n killed it, 125 the runtime failed, 126 the program cannot "
    "be\n"
    "executed, 127 it was not found. The other verbs: 1 failed, 2 wrong arguments.\n";

constexpr const char* run_help =
    "Usage: locald-shim [--root DIR] bundle run --bundle PATH --id ID [OPTION...]\n"
    "       locald-shim [--root DIR] bundle PATH\n"
    "\n"
    "Runs the OCI bundle (a directory with config.json) in the foreground. Standard input, output and error are the\n"
    "container's. Signals are forwarded. When this process is killed the container dies with it.\n"
    "\n"
    "  -b, --bundle PATH      the bundle directory\n"
    "      --id ID            [A-Za-z0-9][A-Za-z0-9_.+-]{0,127}, not in use below the root\n"
    "      --console-fd N     a connected unix socket that is sent the pty master (needed when process.terminal is "
    "true)\n"
    "      --report-fd N      write events and errors there as JSON lines, instead of errors to standard error; when "
    "its\n"
    "                         reader closes it the container is killed\n"
    "      --pid-file FILE    write the process id of the container's first process there\n"
    "      --preserve-fds N   hand descriptors 3 ... 2+N to the container as well\n";

constexpr const char* delete_help =
    "Usage: locald-shim [--root DIR] delete [-f|--force] ID\n"
    "\n"
    "Removes the cgroup and the state of a container that has ended or whose runtime was killed.\n"
    "  -f, --force   kill it first when it runs; an unknown id is no error\n";

constexpr const char* kill_help =
    "Usage: locald-shim [--root DIR] kill [-a|--all] ID [SIGNAL]\n"
    "\n"
    "Sends SIGNAL (a name with or without SIG, or a number; default TERM) to the container's first process.\n"
    "  -a, --all   to every process of the container\n";

constexpr const char* list_help =
    "Usage: locald-shim [--root DIR] list [-q|--quiet] [-f|--format table|json]\n"
    "\n"
    "Prints the containers whose state is below the root.\n";

constexpr const char* state_help =
    "Usage: locald-shim [--root DIR] state ID\n"
    "\n"
    "Prints ociVersion, id, pid, status, bundle, rootfs, created, annotations and owner as JSON.\n";

constexpr const char* init_help =
    "Usage: locald-shim init -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND as a child, forwards every signal to it, reaps orphans and ends with its exit status.\n";

constexpr const char* features_help =
    "Usage: locald-shim features\n"
    "\n"
    "Prints what this runtime was built to do, in the form of the runtime specification's features document.\n";

struct VerbName {
    std::string_view name;
    Verb verb;
    const char* help;
};
constexpr std::array verbs{
    VerbName{"bundle", Verb::run, run_help},       VerbName{"state", Verb::state, state_help},
    VerbName{"list", Verb::list, list_help},       VerbName{"kill", Verb::kill, kill_help},
    VerbName{"delete", Verb::remove, delete_help}, VerbName{"features", Verb::features, features_help},
    VerbName{"init", Verb::init, init_help},
};

/// Walks argv: options as `--name VALUE` or `--name=VALUE`, everything after `--` is an argument.
class Walker {
public:
    Walker(const std::vector<std::string>& words, std::size_t at) : words_(words), at_(at) {}

    /// The next option name into `name`, or the next argument into `arguments`; false at the end.
    bool next_option(std::string& name, std::vector<std::string>& arguments) {
        while (at_ < words_.size()) {
            if (inline_value_) throw UsageError("option " + last_ + " takes no value", exit_code);
            const std::string& word = words_[at_++];
            if (literal_ || word.size() < 2 || word[0] != '-') {
                arguments.push_back(word);
                continue;
            }
            if (word == "--") {
                literal_ = true;
                continue;
            }
            const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
            if (equals != std::string::npos) inline_value_ = word.substr(equals + 1);
            name = last_ = word.substr(0, equals);
            return true;
        }
        if (inline_value_) throw UsageError("option " + last_ + " takes no value", exit_code);
        return false;
    }

    std::string value() {
        if (inline_value_) {
            std::string value = *std::move(inline_value_);
            inline_value_.reset();
            return value;
        }
        if (at_ >= words_.size()) throw UsageError("option " + last_ + " needs a value", exit_code);
        return words_[at_++];
    }

    unsigned number(unsigned most) {
        const std::string text = value();
        const auto parsed = parse_u64(text);
        if (!parsed || *parsed > most) {
            throw UsageError("option " + last_ + ": expected 0.." + std::to_string(most) + ", got \"" + text + "\"",
                             exit_code);
        }
        return static_cast<unsigned>(*parsed);
    }

    [[noreturn]] void unknown() const { throw UsageError("unknown option " + last_, exit_code); }

    int exit_code = 2;

private:
    const std::vector<std::string>& words_;
    std::size_t at_;
    bool literal_ = false;
    std::string last_;
    std::optional<std::string> inline_value_;
};

void need_one_id(const std::string& verb, const std::vector<std::string>& arguments) {
    if (arguments.size() == 1) return;
    throw UsageError("\"" + verb + "\" requires exactly 1 argument(s)", 2);
}

void parse_bundle(Walker& walker, Options& options) {
    walker.exit_code = 125;
    std::vector<std::string> arguments;
    bool any_option = false;
    for (std::string name; walker.next_option(name, arguments);) {
        any_option = true;
        if (name == "-h" || name == "--help") {
            options.verb = Verb::help;
            options.help_topic = "bundle";
            return;
        }
        if (name == "--bundle" || name == "-b") {
            options.bundle = walker.value();
        } else if (name == "--id") {
            options.id = walker.value();
        } else if (name == "--console-fd") {
            options.console_fd = static_cast<int>(walker.number(1U << 20U));
        } else if (name == "--report-fd") {
            options.report_fd = static_cast<int>(walker.number(1U << 20U));
        } else if (name == "--pid-file") {
            options.pid_file = walker.value();
        } else if (name == "--preserve-fds") {
            options.preserve_fds = walker.number(1U << 16U);
        } else {
            walker.unknown();
        }
    }
    if (arguments.size() == 1 && arguments[0] == "run") {
        if (options.bundle.empty()) throw UsageError("bundle run: --bundle PATH is missing", 125);
        if (options.id.empty()) throw UsageError("bundle run: --id ID is missing", 125);
        return;
    }
    if (arguments.size() == 1 && !any_option) {
        options.bundle = arguments[0];
        options.id = "locald-bootstrap-" + std::to_string(::getpid());
        return;
    }
    throw UsageError("bundle: expected `bundle run --bundle PATH --id ID` or `bundle PATH`", 125);
}

void parse_list(Walker& walker, Options& options) {
    std::vector<std::string> arguments;
    for (std::string name; walker.next_option(name, arguments);) {
        if (name == "-q" || name == "--quiet") {
            options.quiet = true;
        } else if (name == "-f" || name == "--format") {
            const std::string format = walker.value();
            if (format != "json" && format != "table") throw UsageError("invalid format option", 2);
            options.json = format == "json";
        } else if (name == "-h" || name == "--help") {
            options.verb = Verb::help;
            options.help_topic = "list";
            return;
        } else {
            walker.unknown();
        }
    }
    if (!arguments.empty()) throw UsageError("\"list\" requires exactly 0 argument(s)", 2);
}

/// state, kill, delete, features: a few flags and an id.
void parse_simple(Walker& walker, Options& options, const VerbName& verb) {
    const std::string name_of_verb(verb.name);
    std::vector<std::string> arguments;
    for (std::string name; walker.next_option(name, arguments);) {
        if (name == "-h" || name == "--help") {
            options.verb = Verb::help;
            options.help_topic = name_of_verb;
            return;
        }
        if (verb.verb == Verb::remove && (name == "-f" || name == "--force")) {
            options.force = true;
        } else if (verb.verb == Verb::kill && (name == "-a" || name == "--all")) {
            options.all = true;
        } else {
            walker.unknown();
        }
    }
    if (verb.verb == Verb::features) {
        if (!arguments.empty()) throw UsageError("\"features\" requires exactly 0 argument(s)", 2);
        return;
    }
    if (verb.verb == Verb::kill && arguments.size() == 2) {
        options.signal = arguments[1];
        arguments.pop_back();
    }
    need_one_id(name_of_verb, arguments);
    options.id = arguments[0];
}

void parse_init(const std::vector<std::string>& words, std::size_t at, Options& options) {
    if (at < words.size() && (words[at] == "-h" || words[at] == "--help")) {
        options.verb = Verb::help;
        options.help_topic = "init";
        return;
    }
    if (at < words.size() && words[at] == "--") ++at;
    options.command.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
    if (options.command.empty()) throw UsageError("init: a command is missing", 2);
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments) {
    Options options;
    std::size_t at = 0;
    for (; at < arguments.size() && arguments[at].starts_with("-"); ++at) {
        const std::string& word = arguments[at];
        if (word == "--root") {
            if (++at >= arguments.size()) throw UsageError("option --root needs a value", 2);
            options.root = arguments[at];
        } else if (word.starts_with("--root=")) {
            options.root = word.substr(7);
        } else if (word == "--shim-version") {
            options.verb = Verb::shim_version;
            return options;
        } else if (word == "--version" || word == "-v") {
            options.verb = Verb::version;
            return options;
        } else if (word == "--help" || word == "-h") {
            options.verb = Verb::help;
            return options;
        } else {
            throw UsageError("unknown option " + word, 2);
        }
        if (options.root.empty()) throw UsageError("option --root: the directory is empty", 2);
        if (options.root == "/") throw UsageError("Option --root argument should not be set to /", 2);
    }
    if (at == arguments.size()) throw UsageError("a verb is missing", 2);
    for (const auto& verb : verbs) {
        if (verb.name != arguments[at]) continue;
        options.verb = verb.verb;
        Walker walker(arguments, at + 1);
        switch (verb.verb) {
            case Verb::run:
                parse_bundle(walker, options);
                break;
            case Verb::list:
                parse_list(walker, options);
                break;
            case Verb::init:
                parse_init(arguments, at + 1, options);
                break;
            default:
                parse_simple(walker, options, verb);
        }
        return options;
    }
    throw UsageError("unknown verb \"" + arguments[at] + "\"", 2);
}

std::string help_text(const std::string& topic) {
    for (const auto& verb : verbs) {
        if (verb.name == topic) return verb.help;
    }
    return general_help;
}

}  // namespace locald::shim
