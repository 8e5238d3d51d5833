#include "shim/criu/external.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

namespace {

/// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

/// What of `path` is below `top`, with its slash; nothing when it is elsewhere.
std::optional<std::string> below(const std::string& path, const std::string& top) {
    if (top == "/") return path == "/" ? "" : path;
    if (!path.starts_with(top) || (path.size() > top.size() && path[top.size()] != '/')) return std::nullopt;
    return path.substr(top.size());
}

std::string clean(const std::string& destination) {
    std::string path = std::filesystem::path("/" + destination).lexically_normal().string();
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path.starts_with("//") ? path.substr(1) : path;
}

/// The last bind of the configuration that `place` is in.
const oci::Mount* bind_over(const oci::Spec& spec, const std::string& place) {
    const oci::Mount* found = nullptr;
    for (const auto& mount : spec.mounts) {
        if (clean(mount.destination) == "/" || !below(place, clean(mount.destination))) continue;
        found = parse_mount_options(mount.options).is_bind() ? &mount : nullptr;
    }
    return found;
}

/// Where the host has what the container sees there.
std::string on_host(const MountLine& line, const std::vector<MountLine>& host) {
    for (const auto& candidate : host) {
        if (candidate.device != line.device) continue;
        const auto rest = below(line.root, candidate.root);
        if (rest) return candidate.place == "/" ? *rest : candidate.place + *rest;
    }
    return {};
}

std::string hex(unsigned long long number) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%llx", number);
    return text.data();
}

/// criu's name for what the stream of another process leads to.
std::string name_of_stream(pid_t pid, int fd, const std::vector<MountLine>& mounts) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(path, gone).string();
    if (gone) return {};
    if (target.starts_with("pipe:") || target.starts_with("socket:")) return target;
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return {};
    std::string mount;
    for (const auto line :
         split(posix::read_file("/proc/" + std::to_string(pid) + "/fdinfo/" + std::to_string(fd)), '\n')) {
        if (line.starts_with("mnt_id:")) mount = trim(line.substr(7));
    }
    if (std::any_of(mounts.begin(), mounts.end(), [&](const MountLine& line) { return line.id == mount; })) return {};
    constexpr unsigned first_pty = 136, last_pty = 143;
    if (S_ISCHR(st.st_mode) && major(st.st_rdev) >= first_pty && major(st.st_rdev) <= last_pty) {
        return "tty[" + hex(st.st_rdev) + ":" + hex(st.st_dev) + "]";
    }
    return "file[" + hex(parse_u64(mount).value_or(0)) + ":" + hex(st.st_ino) + "]";
}

constexpr std::array<std::pair<const char*, const char*>, 2> joinable{{{"network", "net"}, {"pid", "pid"}}};

std::string external_name(const std::string& kind) { return kind == "net" ? "extRootNetNS" : "extRootPidNS"; }

}  // namespace

std::vector<MountLine> parse_mountinfo(std::string_view text) {
    std::vector<MountLine> lines;
    for (const auto row : split(text, '\n')) {
        const auto fields = split(row, ' ');
        const auto dash = std::find(fields.begin(), fields.end(), "-");
        if (fields.size() < 7 || dash == fields.end() || dash + 1 == fields.end()) continue;
        lines.push_back({std::string(fields[0]), std::string(fields[2]), unescape(fields[3]), unescape(fields[4]),
                         std::string(dash[1])});
    }
    return lines;
}

std::vector<CriuExternals::MountPoint> external_mounts(const oci::Spec& spec, const std::vector<MountLine>& container,
                                                       const std::vector<MountLine>& host) {
    std::vector<CriuExternals::MountPoint> found;
    for (const auto& line : container) {
        if (line.place == "/") continue;
        if (bind_over(spec, line.place) != nullptr) {
            found.push_back({line.place, ""});
            continue;
        }
        const bool whole = std::any_of(container.begin(), container.end(), [&](const MountLine& other) {
            if (other.device != line.device || !below(line.root, other.root)) return false;
            return other.root == "/" || other.place == "/";
        });
        if (!whole) found.push_back({line.place, on_host(line, host)});
    }
    return found;
}

CriuExternals find_externals(const oci::Spec& spec, pid_t pid) {
    const std::string place = "/proc/" + std::to_string(pid);
    const auto mounts = parse_mountinfo(posix::read_file(place + "/mountinfo"));
    CriuExternals externals;
    externals.mounts = external_mounts(spec, mounts, parse_mountinfo(posix::read_file("/proc/self/mountinfo")));
    for (int fd = 0; fd <= 2; ++fd) externals.streams[static_cast<std::size_t>(fd)] = name_of_stream(pid, fd, mounts);
    for (const auto& entry : spec.linux_->namespaces) {
        for (const auto& [type, kind] : joinable) {
            if (entry.type != type || entry.path.empty()) continue;
            struct stat st {};
            const std::string path = place + "/ns/" + kind;
            if (::stat(path.c_str(), &st) != 0) throw_errno(errno, "look at ", path);
            externals.namespaces.emplace_back(kind, std::to_string(st.st_ino));
        }
    }
    return externals;
}

std::vector<std::string> dump_arguments(const CriuExternals& externals) {
    std::vector<std::string> words;
    for (const auto& mount : externals.mounts) {
        words.insert(words.end(), {"--external", "mnt[" + mount.destination + "]:" + mount.destination});
    }
    for (const auto& name : externals.streams) {
        if (name.starts_with("file[") || name.starts_with("tty[")) words.insert(words.end(), {"--external", name});
    }
    for (const auto& [kind, inode] : externals.namespaces) {
        words.insert(words.end(), {"--external", kind + "[" + inode + "]:" + external_name(kind)});
    }
    return words;
}

RestoreArguments restore_arguments(const CriuExternals& externals, const oci::Spec& spec, const std::string& bundle) {
    RestoreArguments result;
    for (const auto& mount : externals.mounts) {
        std::string source = mount.source;
        if (const oci::Mount* bind = bind_over(spec, mount.destination)) {
            source = (bind->source.starts_with('/') ? bind->source : bundle + "/" + bind->source) +
                     *below(mount.destination, clean(bind->destination));
        }
        if (source.empty()) {
            throw Error(ErrorKind::invalid, "restore: the checkpoint has " + mount.destination +
                                                " from outside, and the configuration binds nothing there");
        }
        result.words.insert(result.words.end(), {"--external", "mnt[" + mount.destination + "]:" + source});
    }
    int number = 10;
    const auto hand = [&](int fd, const std::string& name) {
        result.descriptors.emplace_back(fd, number);
        result.words.insert(result.words.end(), {"--inherit-fd", "fd[" + std::to_string(number++) + "]:" + name});
    };
    for (int fd = 0; fd <= 2; ++fd) {
        const auto& name = externals.streams[static_cast<std::size_t>(fd)];
        const auto end = externals.streams.begin() + fd;
        // One stream may be there twice; criu takes each name once.
        if (!name.empty() && std::find(externals.streams.begin(), end, name) == end) hand(fd, name);
    }
    for (const auto& [kind, inode] : externals.namespaces) {
        for (const auto& entry : spec.linux_->namespaces) {
            for (const auto& [type, its_kind] : joinable) {
                if (entry.type != type || kind != its_kind || entry.path.empty()) continue;
                result.opened.push_back(posix::open(entry.path, O_RDONLY));
                hand(result.opened.back().get(), external_name(kind));
            }
        }
    }
    return result;
}

std::string to_json(const CriuExternals& externals) {
    nlohmann::ordered_json mounts = nlohmann::ordered_json::array();
    for (const auto& mount : externals.mounts) {
        mounts.push_back({{"destination", mount.destination}, {"source", mount.source}});
    }
    const nlohmann::ordered_json all{
        {"mounts", mounts}, {"streams", externals.streams}, {"namespaces", externals.namespaces}};
    return all.dump() + "\n";
}

CriuExternals parse_externals(const std::string& json) {
    try {
        const auto all = nlohmann::json::parse(json);
        CriuExternals externals;
        for (const auto& mount : all.at("mounts")) {
            externals.mounts.push_back({mount.at("destination"), mount.at("source")});
        }
        externals.streams = all.at("streams").get<std::array<std::string, 3>>();
        externals.namespaces = all.at("namespaces").get<std::vector<std::pair<std::string, std::string>>>();
        return externals;
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::corrupt, std::string("what the checkpoint has from outside: ") + e.what());
    }
}

}  // namespace locald::shim
