#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/container/state.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

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

void look_at_all_in(const UniqueFd& place, std::vector<oci::State>& states) {
    if (!place) return;
    for (const auto& id : list_ids(place)) {
        try {
            states.push_back(state_now(StateDir::open(place, id)));
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::not_found) continue;  // it ended while we looked
            // Shown all the same: only what is seen can be deleted.
            oci::State broken;
            broken.id = id;
            // What may not be read may well run.
            const bool hidden = e.kind() == ErrorKind::denied;
            broken.status = hidden ? "unknown" : "stopped";
            if (hidden) Reporter(-1).warning(e.what());
            broken.created = "0001-01-01T00:00:00Z";  // what engines in Go read as no time
            states.push_back(broken);
        }
    }
}

std::vector<oci::State> look_at_all(const std::string& root_path) {
    const auto places = open_roots(root_path);
    if (!places.front() && !root_path.empty()) throw_errno(ENOENT, "open state directory ", root_path);
    std::vector<oci::State> states;
    for (const auto& place : places) look_at_all_in(place, states);
    return states;
}

int list_containers(const Globals& globals, Walker& walker) {
    bool quiet = false;
    bool json = false;
    for (std::string name; walker.next_option(name);) {
        if (name == "-q" || name == "--quiet") {
            quiet = walker.flag();
        } else if (name == "-f" || name == "--format") {
            const std::string format = walker.value();
            if (format != "json" && format != "table") walker.refuse("invalid format option");
            json = format == "json";
        } else {
            walker.unknown();
        }
    }
    walker.need_exactly(0);
    const auto states = look_at_all(globals.root);
    std::string text;
    if (quiet) {
        for (const auto& state : states) text += state.id + "\n";
    } else if (json) {
        if (states.empty()) text = "null";
        for (const auto& state : states) text += (text.empty() ? "[" : ",") + oci::to_json(state, false);
        if (!states.empty()) text += "]";
    } else {
        text = table(states);
    }
    print(text);
    return 0;
}

}  // namespace

const Verb list_verb{"list",
                     "  list [-q] [-f table|json]          print the containers below the root\n",
                     "Usage: locald-shim [OPTION...] list [OPTION...]\n"
                     "\n"
                     "Prints the containers whose state is below the root.\n"
                     "\n"
                     "  -q, --quiet          their ids alone\n"
                     "  -f, --format FORMAT  table or json (default: table)\n",
                     list_containers,
                     2,
                     true};

}  // namespace locald::shim
