#include "cli/command_line.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "backends/hosts/named_hosts.hpp"
#include "cli/help.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"

namespace locald::cli {

namespace {

/// Reads the words one by one: first the command's name, which may be two words, then flags and operands.
class Reader {
public:
    Reader(std::span<const Command> commands, const std::vector<std::string>& args, CommandLine& line)
        : commands_(commands), args_(args), line_(line) {
        line_.globals.add_to(flags_);
    }

    void read() {
        for (; next_ < args_.size(); ++next_) {
            const std::string& word = args_[next_];
            if (only_operands_ || word.size() < 2 || word[0] != '-') {
                take_operand(word);
            } else if (word == "--") {
                only_operands_ = true;
            } else if (word == "--help" || (word == "-h" && flags_.kind_of("-h") == FlagKind::unknown)) {
                line_.text = help_text();
                return;
            } else if (word == "--version" && line_.command == nullptr) {
                line_.text = "locald " + std::string(version) + "\n";
                return;
            } else if (word.starts_with("--")) {
                take_long(word);
            } else {
                take_short(word);
            }
        }
        finish();
    }

    /// For error texts: `locald container run`.
    std::string shown_command() const { return prefix_.empty() ? "locald" : "locald " + prefix_; }

private:
    void take_operand(const std::string& word) {
        if (line_.command != nullptr) {
            line_.operands.push_back(word);
            if (line_.command->verbatim) only_operands_ = true;
            return;
        }
        const std::string path = prefix_.empty() ? word : prefix_ + " " + word;
        bool is_group = false;
        for (const auto& command : commands_) {
            if (command.path == path) {
                line_.command = &command;
                line_.body = command.make();
                line_.body->add_flags(flags_);
            }
            is_group = is_group || command.path.starts_with(path + " ");
        }
        if (line_.command == nullptr && !is_group) {
            throw_unknown(path);
        }
        prefix_ = path;
    }

    /// docker's commands stand alone; here they stand behind what they are about.
    [[noreturn]] void throw_unknown(const std::string& path) const {
        std::string here;
        const auto take = [&](std::string_view wanted) {
            here.append(here.empty() ? "there is `locald " : ", `locald ").append(wanted).append("`");
        };
        constexpr std::array docker_words = {
            std::pair("ps", "container ls"),          std::pair("images", "image ls"),   std::pair("rmi", "image rm"),
            std::pair("load", "image import"),        std::pair("save", "image export"), std::pair("info", "doctor"),
            std::pair("container ps", "container ls")};
        for (const auto& command : commands_) {
            const bool is_words = std::any_of(docker_words.begin(), docker_words.end(), [&](const auto& pair) {
                return path == pair.first && command.path == pair.second;
            });
            if (is_words || command.path.ends_with(" " + path)) take(command.path);
        }
        Error error(ErrorKind::invalid, "unknown command " + json_quote(path));
        if (!here.empty()) error.with_remedy(here);
        throw error;
    }

    FlagKind known_kind(const std::string& name) const {
        const auto kind = flags_.kind_of(name);
        if (kind == FlagKind::unknown) throw Error(ErrorKind::invalid, "unknown flag " + name);
        return kind;
    }

    std::string next_value(const std::string& name) {
        if (next_ + 1 >= args_.size()) throw Error(ErrorKind::invalid, name + " needs a value");
        return "=" + args_[++next_];
    }

    void take_long(const std::string& word) {
        const auto equals = word.find('=');
        const std::string name = word.substr(0, equals);
        const auto kind = known_kind(name);
        if (kind == FlagKind::alone) {
            words_.push_back(word);  // CLI11 knows what --flag=false is
        } else {
            words_.push_back(name);
            words_.push_back(equals == std::string::npos ? next_value(name) : word.substr(equals));
        }
    }

    /// `-it`, `-e NAME`, `-eNAME`, `-itw/src`.
    void take_short(const std::string& word) {
        for (std::size_t i = 1; i < word.size(); ++i) {
            const std::string name = std::string("-") + word[i];
            words_.push_back(name);
            if (known_kind(name) == FlagKind::alone) continue;
            std::string rest = word.substr(i + 1);
            if (rest.starts_with('=')) rest.erase(0, 1);
            words_.push_back(i + 1 == word.size() ? next_value(name) : "=" + rest);
            return;
        }
    }

    std::string help_text() const {
        if (line_.command != nullptr) return command_help(*line_.command, flags_);
        return overview(commands_, prefix_, flags_);
    }

    void finish() {
        if (line_.command == nullptr) {
            if (!prefix_.empty()) throw Error(ErrorKind::invalid, "no command is given after " + prefix_);
            throw Error(ErrorKind::invalid, "no command is given");
        }
        flags_.parse(std::move(words_));
        const Command& command = *line_.command;
        if (line_.operands.size() < command.least) {
            throw Error(ErrorKind::invalid,
                        "missing operand: " + shown_command() + " " + std::string(command.operands));
        }
        if (line_.operands.size() > command.most) {
            throw Error(ErrorKind::invalid, "too many operands: " + json_quote(line_.operands[command.most]));
        }
    }

    std::span<const Command> commands_;
    const std::vector<std::string>& args_;
    CommandLine& line_;
    FlagSet flags_;
    std::vector<std::string> words_;
    std::string prefix_;
    std::size_t next_ = 0;
    bool only_operands_ = false;
};

}  // namespace

void Globals::add_to(FlagSet& flags) {
    flags.group("Common options");
    flags.text("--backend", "NAME", backend, "Run containers by this backend; by default the platform's own");
    flags.text("--host", "NAME|URL", host,
               "Run on another Linux host, by its name or as ssh://user@host; default: $LOCALD_HOST, then `host use`");
    flags.flag("--debug", debug, "Say on stderr what failed without harm, too");
    flags.flag("--quiet", quiet, "Show errors only: no progress, no notes, no warnings");
    flags.group("Options");
}

runtime::RuntimeChoice Globals::choice() const {
    runtime::RuntimeChoice choice;
    choice.backend = backend;
    // Who asks for a backend means this host.
    if (host.empty() && !backend.empty()) return choice;
    const auto named = backends::read_own_named_hosts();
    const auto& wanted = host.empty() ? named.in_use : host;
    choice.host = named.address_of(wanted);
    choice.shared = named.shared_with(wanted);
    return choice;
}

CommandLine parse_command_line(std::span<const Command> commands, const std::vector<std::string>& args) {
    CommandLine line;
    Reader reader(commands, args, line);
    try {
        reader.read();
    } catch (Error& e) {
        e.with_remedy("see `" + reader.shown_command() + " --help`");
        throw;
    }
    if (line.globals.host.empty() && line.globals.backend.empty()) {  // what is typed comes before what is set
        if (const char* host = std::getenv("LOCALD_HOST")) line.globals.host = host;
    }
    return line;
}

}  // namespace locald::cli
