#include "cli/flags_mounts.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "cli/flags_values.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

using bundle::MountOption;

constexpr std::array<std::string_view, 6> propagations{"private", "rprivate", "shared", "rshared", "slave", "rslave"};
constexpr std::array<std::string_view, 8> mount_flags{"exec", "noexec", "suid",  "nosuid",
                                                      "dev",  "nodev",  "atime", "noatime"};
/// Accepted and without effect: SELinux labels and Docker Desktop's caching have no meaning here.
constexpr std::array<std::string_view, 6> ignored{"z", "Z", "cached", "delegated", "consistent", "default"};

template <std::size_t n>
bool contains(const std::array<std::string_view, n>& all, std::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

std::string checked_destination(std::string_view flag, std::string_view value, std::string_view destination) {
    if (!destination.starts_with('/')) {
        throw bad_value(flag, value,
                        "the path inside the container needs to be absolute, not " + json_quote(destination));
    }
    std::string clean = clean_path(destination, "/");
    if (clean == "/") throw bad_value(flag, value, "a mount cannot stand in for the container's root directory");
    return clean;
}

bool is_relative_path(std::string_view source) {
    return source == "." || source == ".." || source.starts_with("./") || source.starts_with("../");
}

/// Words like `a,"b,c"`: commas inside double quotes do not separate, and "" inside quotes is one of them.
std::vector<std::string> split_csv(std::string_view flag, std::string_view value) {
    std::vector<std::string> words(1);
    bool quoted = false;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        if (c == '"') {
            if (quoted && i + 1 < value.size() && value[i + 1] == '"') {
                words.back() += value[++i];
            } else {
                quoted = !quoted;
            }
        } else if (c == ',' && !quoted) {
            words.emplace_back();
        } else {
            words.back() += c;
        }
    }
    if (quoted) throw bad_value(flag, value, "a quote is not closed");
    return words;
}

bool parse_bool(std::string_view value, std::string_view key, std::string_view text, bool has_text) {
    if (!has_text || text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    throw bad_value("--mount", value, std::string(key) + " is true or false");
}

/// The keys of `--mount` as they come; what belongs together is checked at the end.
struct MountWords {
    std::string type, source, destination;
    std::vector<std::string> options;
    bool read_only = false, tmpfs_only = false, bind_only = false;
};

void take_word(MountWords& words, std::string_view value, const std::string& word) {
    const auto equals = word.find('=');
    const bool has_text = equals != std::string::npos;
    const std::string key = word.substr(0, equals);
    const std::string text = has_text ? word.substr(equals + 1) : "";
    if (key == "type") {
        words.type = text;
    } else if (key == "source" || key == "src") {
        words.source = text;
    } else if (key == "target" || key == "dst" || key == "destination") {
        words.destination = text;
    } else if (key == "readonly" || key == "ro") {
        words.read_only = parse_bool(value, key, text, has_text);
    } else if (key == "bind-propagation") {
        if (!contains(propagations, text)) throw bad_value("--mount", value, "unknown propagation " + json_quote(text));
        words.options.push_back(text);
        words.bind_only = true;
    } else if (key == "tmpfs-size") {
        words.options.push_back("size=" + std::to_string(parse_size("--mount tmpfs-size", text)));
        words.tmpfs_only = true;
    } else if (key == "tmpfs-mode") {
        if (text.empty() || text.size() > 5 || text.find_first_not_of("01234567") != std::string::npos) {
            throw bad_value("--mount", value, "tmpfs-mode is an octal number like 1777");
        }
        words.options.push_back("mode=" + text);
        words.tmpfs_only = true;
    } else if (key != "consistency") {
        throw bad_value("--mount", value, "unknown key " + json_quote(key))
            .with_remedy("known are type, source, target, readonly, bind-propagation, tmpfs-size and tmpfs-mode");
    }
}

}  // namespace

std::string clean_path(std::string_view path, const std::string& cwd) {
    return locald::clean_path(path.starts_with('/') ? std::string(path) : cwd + "/" + std::string(path));
}

MountOption parse_volume(std::string_view value, const std::string& cwd) {
    const auto fail = [&](std::string_view why) { return bad_value("--volume", value, why); };
    const auto parts = split(value, ':');
    if (parts.size() == 1) throw fail("anonymous volumes are not available").with_remedy("say SOURCE:DESTINATION");
    if (parts.size() > 3) throw fail("expected SOURCE:DESTINATION[:OPTION,…]; a path with a colon needs --mount");
    const std::string_view source = parts[0];
    MountOption mount;
    if (source.empty()) throw fail("there is no source");
    if (!source.starts_with('/') && !is_relative_path(source)) {
        throw fail("named volumes are not available")
            .with_remedy("give a directory, absolute or beginning with a dot: ./" + std::string(source));
    }
    mount.source = clean_path(source, cwd);
    mount.destination = checked_destination("--volume", value, parts[1]);
    if (parts.size() == 2) return mount;
    for (const auto option : split(parts[2], ',')) {
        if (option == "ro") {
            mount.read_only = true;
        } else if (option == "rw") {
            mount.read_only = false;
        } else if (contains(propagations, option) || contains(mount_flags, option)) {
            mount.options.emplace_back(option);
        } else if (option == "nocopy" || option == "bind" || option == "rbind" || contains(ignored, option)) {
            continue;
        } else {
            throw fail("unknown option " + json_quote(option));
        }
    }
    return mount;
}

MountOption parse_mount(std::string_view value, const std::string& cwd) {
    const auto fail = [&](std::string_view why) { return bad_value("--mount", value, why); };
    MountWords words;
    for (const auto& word : split_csv("--mount", value)) take_word(words, value, word);
    if (words.destination.empty()) throw fail("there is no target");
    MountOption mount;
    mount.destination = checked_destination("--mount", value, words.destination);
    mount.read_only = words.read_only;
    mount.options = std::move(words.options);
    if (words.type == "tmpfs") {
        if (!words.source.empty() || words.bind_only) throw fail("a tmpfs has no source and no propagation");
        mount.type = MountOption::Type::tmpfs;
        return mount;
    }
    if (words.type.empty() || words.type == "volume") {
        throw fail("volumes are not available").with_remedy("say type=bind or type=tmpfs");
    }
    if (words.type != "bind") throw fail("unknown type").with_remedy("say type=bind or type=tmpfs");
    if (words.tmpfs_only) throw fail("tmpfs-size and tmpfs-mode belong to type=tmpfs");
    if (words.source.empty()) throw fail("there is no source");
    if (!words.source.starts_with('/') && !is_relative_path(words.source)) {
        throw fail("the source needs to be an absolute path, or one that begins with a dot");
    }
    mount.source = clean_path(words.source, cwd);
    return mount;
}

MountOption parse_tmpfs(std::string_view value) {
    const auto colon = value.find(':');
    MountOption mount;
    mount.type = MountOption::Type::tmpfs;
    mount.destination = checked_destination("--tmpfs", value, value.substr(0, colon));
    if (colon != std::string_view::npos && colon + 1 < value.size()) {
        for (const auto option : split(value.substr(colon + 1), ',')) {
            if (option == "ro") {
                mount.read_only = true;
            } else if (option == "rw") {
                mount.read_only = false;
            } else if (contains(mount_flags, option) || option.starts_with("size=") || option.starts_with("mode=") ||
                       option.starts_with("uid=") || option.starts_with("gid=") || option.starts_with("nr_inodes=") ||
                       option.starts_with("nr_blocks=")) {
                mount.options.emplace_back(option);
            } else {
                throw bad_value("--tmpfs", value, "unknown option " + json_quote(option));
            }
        }
    }
    return mount;
}

void check_destinations(const std::vector<MountOption>& mounts) {
    std::set<std::string_view> seen;
    for (const auto& mount : mounts) {
        if (!seen.insert(mount.destination).second) {
            throw Error(ErrorKind::invalid, "two mounts have the destination " + mount.destination);
        }
    }
}

}  // namespace locald::cli
