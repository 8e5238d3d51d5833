#include <nlohmann/json.hpp>

#include <unordered_map>

#include "core/base/error.hpp"
#include "core/base/signal_name.hpp"
#include "core/base/text.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

constexpr const char* default_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The Platform API that our buildpack builds speak.
constexpr const char* platform_api = "CNB_PLATFORM_API=0.12";

/// `--entrypoint`: one word, nothing, or podman's form, a JSON array of words.
std::vector<std::string> entrypoint_words(const std::string& text) {
    if (text.empty()) return {};
    if (!text.starts_with('[')) return {text};
    const auto array = nlohmann::json::parse(text, nullptr, false);
    if (!array.is_array()) return {text};
    std::vector<std::string> words;
    for (const auto& one : array) {
        if (!one.is_string()) return {text};
        words.push_back(one.get<std::string>());
    }
    return words;
}

/// Entries in the order of their first appearance, the last value of a name.
class Environment {
public:
    void set(std::string_view name, std::string entry) {
        const auto [place, is_new] = index_.try_emplace(std::string(name), entries_.size());
        if (is_new) {
            entries_.push_back(std::move(entry));
        } else {
            entries_[place->second] = std::move(entry);
        }
    }
    void set_default(std::string_view entry) {
        const auto name = entry.substr(0, entry.find('='));
        if (!index_.contains(std::string(name))) set(name, std::string(entry));
    }
    std::vector<std::string> take() { return std::move(entries_); }

private:
    std::vector<std::string> entries_;
    std::unordered_map<std::string, std::size_t> index_;
};

bool is_buildpacks_image(const oci::ImageConfig* image) {
    return image != nullptr && (image->labels.contains("io.buildpacks.lifecycle.metadata") ||
                                image->labels.contains("io.buildpacks.build.metadata"));
}

/// A working directory below /proc/<pid> reaches descriptors and roots that are not the container's (CVE-2024-21626).
bool is_in_a_process_directory(const std::string& path) {
    if (!is_within(path, "/proc")) return false;
    const std::string_view first = split(std::string_view(path).substr(1), '/').size() > 1
                                       ? split(std::string_view(path).substr(1), '/')[1]
                                       : std::string_view();
    return first == "self" || first == "thread-self" || parse_u64(first).has_value();
}

}  // namespace

std::vector<std::string> make_args(const Plan& plan) {
    std::vector<std::string> args;
    const bool replaced = plan.options.entrypoint.has_value();
    if (replaced) {
        args = entrypoint_words(*plan.options.entrypoint);
    } else if (plan.image != nullptr) {
        args = plan.image->entrypoint;
    }
    if (!plan.options.command.empty()) {
        args.insert(args.end(), plan.options.command.begin(), plan.options.command.end());
    } else if (plan.image != nullptr && !replaced) {
        // A Cmd is made for the image's own entrypoint, so it goes with it.
        args.insert(args.end(), plan.image->cmd.begin(), plan.image->cmd.end());
    }
    if (args.empty()) {
        throw Error(ErrorKind::invalid, plan.image != nullptr
                                            ? "no command: neither the call nor the image names a program"
                                            : "no command: a plain root filesystem names no program")
            .with_remedy("write the program and its arguments at the end of the call");
    }
    for (const auto& word : args) refuse_nul(word, "command");
    if (plan.options.init) {
        if (plan.host.init_program.empty()) {
            throw Error(ErrorKind::unsupported, "--init: this host has no init program for containers");
        }
        const std::vector<std::string> init{"/dev/init", "init", "--"};
        args.insert(args.begin(), init.begin(), init.end());
    }
    return args;
}

std::string make_cwd(const Plan& plan) {
    std::string_view wanted = plan.options.workdir;
    if (wanted.empty() && plan.image != nullptr) {
        wanted = plan.image->working_dir;
    } else if (!wanted.empty() && !wanted.starts_with('/')) {
        throw Error(ErrorKind::invalid, "working directory \"" + std::string(wanted) + "\": must be absolute");
    }
    refuse_nul(wanted, "working directory");
    std::string cwd = clean_path(wanted);
    if (is_in_a_process_directory(cwd)) {
        throw Error(ErrorKind::invalid, "working directory \"" + cwd + "\": a process directory cannot be one");
    }
    return cwd;
}

std::vector<std::string> make_environment(Plan& plan) {
    Environment environment;
    if (plan.image != nullptr) {
        for (const auto& entry : plan.image->env) {
            const auto equals = entry.find('=');
            if (equals == std::string::npos || equals == 0 || entry.find('\0') != std::string::npos) {
                plan.warnings.push_back("environment entry " + json_quote(entry) +
                                        " of the image is left out: not NAME=value");
                continue;
            }
            environment.set(std::string_view(entry).substr(0, equals), entry);
        }
    }
    for (const auto& [name, value] : plan.options.env) {
        if (name.empty() || name.find('=') != std::string::npos) {
            throw Error(ErrorKind::invalid, "environment variable " + json_quote(name) +
                                                ": a name has at least one character and no equals sign");
        }
        refuse_nul(name, "environment variable");
        refuse_nul(value, "environment variable " + name);
        std::string entry = name;
        entry.append("=").append(value);
        environment.set(name, std::move(entry));
    }
    environment.set_default(default_path);
    environment.set_default("HOSTNAME=" + plan.hostname);
    if (plan.options.tty) environment.set_default("TERM=xterm");
    environment.set_default("container=locald");
    if (is_buildpacks_image(plan.image)) environment.set_default(platform_api);
    environment.set_default("HOME=" + plan.user.home);
    return environment.take();
}

std::string make_stop_signal(Plan& plan) {
    if (!plan.options.stop_signal.empty()) {
        in_step("stop signal", [&] { parse_signal(plan.options.stop_signal); });
        return plan.options.stop_signal;
    }
    if (plan.image == nullptr || plan.image->stop_signal.empty()) return "SIGTERM";
    try {
        parse_signal(plan.image->stop_signal);
        return plan.image->stop_signal;
    } catch (const Error& e) {
        plan.warnings.push_back(std::string("the image's stop signal is not used, SIGTERM is: ") + e.what());
        return "SIGTERM";
    }
}

}  // namespace locald::bundle::parts
