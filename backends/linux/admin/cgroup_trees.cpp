#include "backends/linux/admin/cgroup_trees.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

constexpr int as_directory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

std::vector<std::string> directories_in(const posix::UniqueFd& dir) {
    std::vector<std::string> names;
    posix::UniqueFd again(::openat(dir.get(), ".", as_directory));
    const std::unique_ptr<DIR, DirCloser> stream(again ? ::fdopendir(again.get()) : nullptr);
    if (!stream) return names;  // removed meanwhile
    static_cast<void>(again.release());
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    return names;
}

/// Each cgroup of the tree, the leaves first. `see` gets its parent and its name, and says whether to go on.
/// A cgroup keeps its parent, so `..` leads to where we came from.
void walk(const std::string& tree, const std::function<bool(const posix::UniqueFd&, const std::string&)>& see) {
    const auto slash = tree.rfind('/');
    posix::UniqueFd here = posix::open(tree.substr(0, slash), as_directory);
    std::vector<std::vector<std::string>> left{{tree.substr(slash + 1)}};
    bool go_down = true;
    while (!left.back().empty()) {
        const std::string name = left.back().back();
        posix::UniqueFd next;
        if (go_down) next = posix::UniqueFd(::openat(here.get(), name.c_str(), as_directory));
        if (next) {
            auto below = directories_in(next);
            if (!below.empty()) {
                left.push_back(std::move(below));
                here = std::move(next);
                continue;
            }
        }
        if (!see(here, name)) return;
        left.back().pop_back();
        go_down = true;
        if (left.back().empty() && left.size() > 1) {
            left.pop_back();
            here = posix::openat(here, "..", as_directory);
            go_down = false;  // all below it has been seen
        }
    }
}

}  // namespace

bool is_without_processes(const std::string& tree) {
    bool without = true;
    walk(tree, [&](const posix::UniqueFd& parent, const std::string& name) {
        const posix::UniqueFd file(::openat(parent.get(), (name + "/cgroup.procs").c_str(), O_RDONLY | O_CLOEXEC));
        // EOPNOTSUPP of a threaded cgroup: its processes are listed further up.
        char byte = 0;
        if (file && ::read(file.get(), &byte, 1) > 0) without = false;
        return without;
    });
    return without;
}

void remove_tree_of_cgroups(const std::string& tree) {
    walk(tree, [&](const posix::UniqueFd& parent, const std::string& name) {
        if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
            throw_errno(errno, "rmdir ", name.substr(0, 60), " in ", tree);
        }
        return true;
    });
}

}  // namespace locald::backends::admin
