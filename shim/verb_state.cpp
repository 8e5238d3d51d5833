#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/state.hpp"
#include "shim/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// The state of one container as of now.
oci::State look_at(const UniqueFd& root, const std::string& id) {
    StateDir dir = StateDir::open(root, id);
    const bool shim_alive = dir.locked_by_other();
    Record record = dir.read();
    record.state.status = current_status(record, shim_alive);
    if (record.state.status == "stopped") record.state.pid = 0;
    return record.state;
}

/// The user's name by the text of /etc/passwd: a static program must not load the modules of NSS.
std::string owner_name(uid_t uid) {
    const UniqueFd file = posix::open_if_exists("/etc/passwd", O_RDONLY);
    if (file) {
        const std::string text = posix::read_all(file, "/etc/passwd");
        for (const auto line : split(text, '\n')) {
            const auto fields = split(line, ':');
            if (fields.size() >= 4 && parse_u64(fields[2]) == uid) return std::string(fields[0]);
        }
    }
    return "#" + std::to_string(uid);
}

std::string table(const std::vector<oci::State>& states) {
    constexpr std::size_t columns = 6;
    constexpr std::size_t least = 12;
    std::vector<std::array<std::string, columns>> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const auto& s : states) {
        rows.push_back({s.id, std::to_string(s.pid), s.status, s.bundle, s.created, s.owner});
    }
    std::array<std::size_t, columns> widths{};
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max({widths[i], row[i].size() + 3, least});
    }
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < columns; ++i) {
            text += row[i];
            if (i + 1 < columns) text.append(widths[i] - row[i].size(), ' ');
        }
        text += '\n';
    }
    return text;
}

}  // namespace

int show_state(const Options& options) {
    check_container_id(options.id);
    print(oci::to_json(look_at(open_root(options.root, false), options.id)) + "\n");
    return 0;
}

int list_containers(const Options& options) {
    const UniqueFd root = open_root(options.root, false);
    std::vector<oci::State> states;
    for (const auto& id : root ? list_ids(root) : std::vector<std::string>()) {
        try {
            states.push_back(look_at(root, id));
            struct stat st {};
            if (::fstatat(root.get(), id.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
                states.back().owner = owner_name(st.st_uid);
            }
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::not_found) continue;  // it ended while we looked
            // Shown all the same: only what is seen can be deleted.
            oci::State broken;
            broken.id = id;
            broken.status = "stopped";
            states.push_back(broken);
        }
    }
    std::string text;
    if (options.quiet) {
        for (const auto& state : states) text += state.id + "\n";
    } else if (options.json) {
        if (states.empty()) text = "null";
        for (const auto& state : states) text += (text.empty() ? "[" : ",") + oci::to_json(state, false);
        if (!states.empty()) text += "]";
    } else {
        text = table(states);
    }
    print(text);
    return 0;
}

}  // namespace locald::shim
