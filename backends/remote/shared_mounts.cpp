#include "backends/remote/shared_mounts.hpp"

#include <nlohmann/json.hpp>

#include <utility>

#include "backends/hosts/path_map.hpp"
#include "backends/protocol/seen_path.hpp"
#include "backends/remote/read_answer.hpp"
#include "core/base/error.hpp"

namespace locald::backends {

namespace {

using bundle::MountOption;
using protocol::SeenPath;
using runtime::SharedTree;

struct Asked {
    MountOption* mount;
    std::string here;
    SharedTree tree;
};

void check_kind(const std::string& step, const std::string& kind) {
    if (kind != "socket" && kind != "fifo" && kind != "device") return;
    throw Error(ErrorKind::unsupported, step + ": it is a " + kind +
                                            ", and what one host puts into it never comes out on another, be the "
                                            "directory shared or not")
        .with_remedy("have the program listen on a TCP port, and reach it by -p");
}

void check(const Asked& asked, const SeenPath& here, const SeenPath& there) {
    const auto& path = asked.mount->source;
    const auto step =
        "mount " + asked.here + ", which is " + path + " on that host by the shared tree " + to_string(asked.tree);
    const auto remedy = "see that " + asked.tree.there + " there is what " + asked.tree.here + " is here";
    if (there.kind == "none") {
        throw Error(ErrorKind::not_found, step + ": there: " + there.why)
            .with_remedy(here.kind == "none" ? "it is not on this host either: is it the right name?"
                                             : remedy + "; is it mounted?");
    }
    check_kind(step, there.kind);
    if (asked.tree.is_mount && there.mount != asked.tree.there) {
        throw Error(ErrorKind::not_found,
                    step + ": there it lies on what is mounted at " + there.mount + ", not at " + asked.tree.there)
            .with_remedy("mount the shared tree there");
    }
    if (here.kind == "none") return;  // a tree of that host's own, which is called by a name of it
    if (here.kind != there.kind) {
        throw Error(ErrorKind::invalid, step + ": it is a " + here.kind + " here and a " + there.kind + " there")
            .with_remedy(remedy);
    }
    if (there.empty && !here.empty) {
        throw Error(ErrorKind::not_found, step + ": it is empty there, and not here")
            .with_remedy(remedy + "; is it mounted?");
    }
}

}  // namespace

void map_mounts(bundle::RunOptions& options, const std::vector<SharedTree>& shared, const AskMounts& ask) {
    std::vector<Asked> asked;
    std::vector<std::string> paths;
    const PathMap map(shared, PathCase::sensitive, resolve_links);
    for (auto& mount : options.mounts) {
        if (mount.type != MountOption::Type::bind) continue;
        auto mapped = map.map(mount.source);
        check_kind("mount " + mount.source, protocol::look_at(mount.source).kind);
        asked.push_back({&mount, std::exchange(mount.source, mapped.path), *mapped.tree});
        mount.read_only = mount.read_only || mapped.tree->read_only;
        paths.push_back(mount.source);
    }
    if (asked.empty()) return;
    const auto answers = ask(paths);
    if (!answers.is_array() || answers.size() != asked.size()) {
        throw Error(ErrorKind::corrupt, "read the agent's answer: it has another number of paths");
    }
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto there = read_answer([&] { return protocol::read_seen_path(answers[i]); });
        check(asked[i], protocol::look_at(asked[i].here), there);
    }
}

}  // namespace locald::backends
