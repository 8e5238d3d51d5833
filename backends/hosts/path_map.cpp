#include "backends/hosts/path_map.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using runtime::SharedTree;

// ASCII alone: what else a file system folds differs by its version, and an unfolded name is an error, not another
// file.
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b, PathCase path_case) {
    if (path_case == PathCase::sensitive) return a == b;
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

/// `path` below `tree` without the tree and without a slash in front.
std::string_view below(std::string_view path, std::string_view tree) {
    path.remove_prefix(std::min(path.size(), tree.size()));
    if (path.starts_with('/')) path.remove_prefix(1);
    return path;
}

std::string joined(const std::string& directory, std::string_view rest) {
    if (rest.empty()) return directory;
    return (directory == "/" ? "" : directory) + "/" + std::string(rest);
}

}  // namespace

PathMap::PathMap(std::vector<SharedTree> trees, PathCase path_case,
                 std::function<std::string(const std::string&)> resolve)
    : trees_(std::move(trees)), case_(path_case), resolve_(std::move(resolve)) {
    for (auto& tree : trees_) {
        for (auto* side : {&tree.here, &tree.there}) {
            if (!side->starts_with('/')) {
                throw Error(ErrorKind::invalid,
                            "share " + json_quote(to_string(tree)) + ": " + json_quote(*side) + " is no absolute path");
            }
            *side = clean_path(*side);
        }
        real_.push_back(clean_path(resolve_(tree.here)));
    }
    for (std::size_t i = 0; i < trees_.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (!same(real_[i], real_[j], case_)) continue;
            throw Error(ErrorKind::invalid, "share " + to_string(trees_[i]) + ": " + trees_[i].here +
                                                " is shared already, as " + to_string(trees_[j]));
        }
    }
}

bool PathMap::is_within(std::string_view path, std::string_view tree) const noexcept {
    if (tree == "/") return true;
    return path.size() >= tree.size() && same(path.substr(0, tree.size()), tree, case_) &&
           (path.size() == tree.size() || path[tree.size()] == '/');
}

/// The tree with the longest name that a path without links lies in.
const SharedTree* PathMap::find(std::string_view path) const {
    const SharedTree* best = nullptr;
    std::size_t length = 0;
    for (std::size_t i = 0; i < trees_.size(); ++i) {
        if (!is_within(path, real_[i]) || (best != nullptr && real_[i].size() <= length)) continue;
        best = &trees_[i];
        length = real_[i].size();
    }
    return best;
}

std::string PathMap::all_trees() const {
    std::string text;
    for (const auto& tree : trees_) {
        if (!text.empty()) text += ", ";
        text.append(tree.here).append(" (there ").append(tree.there).append(")");
    }
    return text;
}

MappedPath PathMap::map(const std::string& path) const {
    const std::string named = clean_path(path);
    const std::string real = clean_path(resolve_(named));
    if (const auto* tree = find(real)) {
        const auto& root = real_[static_cast<std::size_t>(tree - trees_.data())];
        return {joined(tree->there, below(real, root)), tree};
    }
    const auto left =
        std::find_if(trees_.begin(), trees_.end(), [&](const SharedTree& tree) { return is_within(named, tree.here); });
    if (left != trees_.end()) {
        throw Error(ErrorKind::invalid, "mount " + named + " on another host: a link leads out of the shared tree " +
                                            left->here + ", to " + real)
            .with_remedy("share that too: `--map " + real + "=PATH_THERE`");
    }
    throw Error(ErrorKind::invalid, "mount " + named + " on another host: it is not shared with that host; " +
                                        (trees_.empty() ? "nothing is" : "shared are " + all_trees()))
        .with_remedy("what that host sees of this one's files is told by `locald host add NAME URL --map " + named +
                     "=PATH_THERE`; else copy them into an image");
}

SharedTree parse_shared_tree(std::string_view text) {
    const auto fail = [&](const std::string& why) {
        return Error(ErrorKind::invalid, "share " + json_quote(text) + ": " + why)
            .with_remedy("write /HERE=/THERE, /HERE=/THERE:ro or /HERE=/THERE:mount");
    };
    SharedTree tree;
    std::string_view rest = text;
    for (;;) {
        if (rest.ends_with(":ro")) {
            tree.read_only = true;
            rest.remove_suffix(3);
        } else if (rest.ends_with(":mount")) {
            tree.is_mount = true;
            rest.remove_suffix(6);
        } else if (rest.ends_with(":rw")) {
            rest.remove_suffix(3);
        } else {
            break;
        }
    }
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos) throw fail("there is no =");
    tree.here = rest.substr(0, equals);
    tree.there = rest.substr(equals + 1);
    for (auto* side : {&tree.here, &tree.there}) {
        if (!side->starts_with('/')) throw fail(json_quote(*side) + " is no absolute path");
        if (side->find('\0') != std::string::npos) throw fail("it holds a NUL");
        *side = clean_path(*side);
    }
    return tree;
}

std::string to_string(const SharedTree& tree) {
    return tree.here + "=" + tree.there + (tree.read_only ? ":ro" : "") + (tree.is_mount ? ":mount" : "");
}

std::string resolve_links(const std::string& path) {
    std::error_code error;
    const auto real = std::filesystem::weakly_canonical(path, error);
    if (error) throw_errno(error.value(), "follow the links of ", path);
    return real.string();
}

}  // namespace locald::backends
