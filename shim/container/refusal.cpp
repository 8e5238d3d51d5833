#include "shim/container/refusal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"

namespace locald::shim {

namespace {

constexpr const char* policy_file = "/etc/locald/shim.conf";
constexpr std::size_t most_read = 1U << 20U;

/// What a line of shim.conf may say.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> forms{{
    {"group", "group = NAME (where there is no such group, root can make it: groupadd --system NAME)"},
    {"containers", "containers = NUMBER (1 to 1000000)"},
    {"pids", "pids = NUMBER (1 to 4194304)"},
    {"memory", "memory = NUMBER[K|M|G|T]"},
    {"ids", "ids = FIRST-LAST (at most 16 such lines)"},
    {"network-helper", "network-helper = yes|no"},
}};

std::string form_of(std::string_view key) {
    for (const auto& [name, form] : forms) {
        if (name == key) return "; expected " + std::string(form);
    }
    return {};
}

std::string text_of(const char* path) {
    const posix::UniqueFd file(::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    try {
        return file ? posix::read_all(file, path, most_read) : std::string();
    } catch (const Error&) {
        return {};  // it would only have explained another fault
    }
}

std::string of_policy(const std::string& words) {
    const std::string place = std::string(policy_file) + ", line ";
    if (!words.starts_with(place)) return {};
    if (text_of(policy_file).find("\r\n") != std::string::npos) {
        return "; its lines end with CR LF, and must with LF alone; root can: sed -i 's/\\r$//' " +
               std::string(policy_file);
    }
    constexpr std::string_view not_understood = ": value not understood: ";
    if (const auto at = words.find(not_understood); at != std::string::npos) {
        return form_of(std::string_view(words).substr(at + not_understood.size()));
    }
    if (words.find(": unknown key: ") == std::string::npos) return {};
    std::string keys;
    for (const auto& [name, form] : forms) keys += (keys.empty() ? "" : ", ") + std::string(name);
    return "; the keys are " + keys;
}

}  // namespace

std::string explained(const std::string& words) {
    const std::string path = words.substr(0, words.find(": "));
    const std::array<std::pair<std::string_view, std::string>, 5> remedies{{
        {"and is no regular file", "; root can put one there, or remove it"},
        {"and belongs to another user", "; root can: chown root " + path},
        {"and its mode lets others write", "; root can: chmod go-w " + path},
        {"directory of root's alone, and no link", "; root can: chown root " + path + " && chmod go-w " + path},
        {"is not within `ids` of /etc/locald/shim.conf", "; root can widen `ids` there, or change this line"},
    }};
    for (const auto& [end, remedy] : remedies) {
        if (words.ends_with(end)) return words + remedy;
    }
    return words + of_policy(words);
}

std::string remedy_for_place(const std::string& words, int error) {
    const std::string uid = std::to_string(::getuid());
    const std::string user = "locald/user-" + uid, states = "/run/locald/" + uid;
    if (words.ends_with("must be his alone: " + states)) {
        struct stat st {};
        if (::lstat(states.c_str(), &st) != 0) return {};
        constexpr unsigned permissions = 07777;
        std::array<char, 16> mode{};
        std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(st.st_mode) & permissions);
        return "; it is user " + std::to_string(st.st_uid) + "'s with mode " + mode.data() + ": " +
               (st.st_uid == ::getuid() ? "chmod 700 " + states : "root can remove it: rm -r " + states);
    }
    if (words.starts_with("lock ")) {
        return "; another process holds it locked for more than 5 seconds: look with `fuser -v " + states + "`, end it";
    }
    if (words.starts_with("make the caller's directory of states")) {
        return error == ENOSPC ? "; root can make room in /run: df -h /run, df -i /run"
                               : "; root can look at " + states;
    }
    if (words.find("is frozen and did not answer") != std::string::npos) {
        return "; thaw it (echo 0 > cgroup.freeze in " + user +
               " and below it; version 1: echo THAWED > freezer.state)";
    }
    if (words.find(user.substr(0, user.find('-') + 1) + "<uid>") == std::string::npos &&
        words.find("memory.limit_in_bytes") == std::string::npos) {
        return {};
    }
    if (error == EBUSY && words.ends_with(".start")) {
        return "; no process can be there while it hands controllers on: rmdir " + user + "/.start (it is made anew)";
    }
    if (error == EBUSY) return "; more memory than that is in use: end a container, or let root raise `memory`";
    if (error == EAGAIN || error == ENOSPC) {
        return "; there are as many cgroups as are allowed: end a container, remove cgroups below " + user +
               ", or let root raise cgroup.max.descendants above";
    }
    return "; nothing is started outside of its limits: root can look at /sys/fs/cgroup for " + user +
           " (made anew when it was removed) and at /etc/locald/shim.conf";
}

std::string members_only(const std::string& group) {
    const std::string user = posix::user_name(::getuid());
    const std::string words = "the policy in /etc/locald/shim.conf lets only members of the group " + group +
                              " start containers with locald-shim";
    if (is_nameless_group(group)) {
        return words + ", and no line of /etc/group has this number; root can give it a name: groupadd --gid " + group +
               " NAME";
    }
    return words + "; root can add you: usermod -aG " + group + " " + (user.empty() ? "USER" : user) +
           ", then log in again";
}

bool is_nameless_group(const std::string& group) {
    const auto number = parse_u64(group);
    if (!number) return false;
    const std::string text = text_of("/etc/group");
    for (const auto line : split(text, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() >= 3 && parse_u64(fields[2]) == number) return false;
    }
    return true;
}

}  // namespace locald::shim
