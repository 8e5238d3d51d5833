#include "core/image/merged_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <map>
#include <string_view>

#include "core/base/error.hpp"
#include "core/image/layer_path.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

// An image of thousands of layers' directories must not keep them all in memory.
constexpr std::size_t most_cached = 65536;

}  // namespace

bool is_whiteout(const struct stat& st) noexcept { return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0); }

bool is_opaque(int directory) noexcept {
    char value = 0;
    return ::fgetxattr(directory, opaque_xattr, &value, 1) == 1 && value == 'y';
}

posix::UniqueFd MergedTree::open(std::size_t layer, const std::string& path, int flags) const {
    return posix::openat2(*layers_[layer], path.empty() ? "." : path, static_cast<std::uint64_t>(flags | O_NOFOLLOW),
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

std::optional<MergedTree::Node> MergedTree::find(const std::string& path) {
    if (layers_.empty()) return std::nullopt;
    if (path.empty()) {
        Node root;
        root.layer = layers_.size() - 1;
        root.st = posix::fstat(*layers_[root.layer], "a layer");
        for (std::size_t i = layers_.size(); i > 0;) {
            root.merged.push_back(--i);
            if (is_opaque(layers_[i]->get())) break;
        }
        return root;
    }
    if (const auto cached = directories_.find(path); cached != directories_.end()) return cached->second;
    const auto slash = path.find_last_of('/');
    const std::string parent = slash == std::string::npos ? std::string() : path.substr(0, slash);
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    const auto above = find(parent);
    if (!above || !S_ISDIR(above->st.st_mode)) return std::nullopt;
    auto found = child(*above, path, name);
    if (found && S_ISDIR(found->st.st_mode)) {
        if (directories_.size() > most_cached) directories_.clear();
        directories_[path] = found;
    }
    return found;
}

std::optional<MergedTree::Node> MergedTree::child(const Node& directory, const std::string& path,
                                                  const std::string& name) {
    const std::string parent = path.size() == name.size() ? "" : path.substr(0, path.size() - name.size() - 1);
    std::optional<Node> node;
    for (const std::size_t layer : directory.merged) {
        const posix::UniqueFd above = open(layer, parent, O_RDONLY | O_DIRECTORY);
        struct stat st {};
        if (::fstatat(above.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;
            throw_errno(errno, "stat ", path);
        }
        if (is_whiteout(st)) break;
        if (!S_ISDIR(st.st_mode)) {
            if (!node) node = Node{st, layer, {}};
            break;
        }
        if (!node) node = Node{st, layer, {}};
        node->merged.push_back(layer);
        const posix::UniqueFd opened = posix::openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (is_opaque(opened.get())) break;
    }
    return node;
}

std::string MergedTree::read_link(const Node& node, const std::string& path) const {
    const posix::UniqueFd link = open(node.layer, path, O_PATH);
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(link.get(), "", target.data(), target.size());
    if (length < 0) throw_errno(errno, "read link ", path);
    return {target.data(), static_cast<std::size_t>(length)};
}

std::vector<std::string> MergedTree::names(const Node& node, const std::string& path) const {
    std::map<std::string, bool> shown;  // false: hidden by a whiteout above
    for (const std::size_t layer : node.merged) {
        posix::UniqueFd fd = open(layer, path, O_RDONLY | O_DIRECTORY);
        const int number = fd.get();
        const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(number), ::closedir);
        if (!stream) throw_errno(errno, "read directory ", path);
        static_cast<void>(fd.release());
        for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
            const std::string_view name = entry->d_name;
            if (name == "." || name == "..") continue;
            bool there = true;
            if (entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN) {
                struct stat st {};
                if (::fstatat(number, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
                    throw_errno(errno, "stat ", join_path(path, name));
                }
                there = !is_whiteout(st);
            }
            shown.emplace(name, there);
        }
    }
    std::vector<std::string> result;
    for (const auto& [name, there] : shown) {
        if (there) result.push_back(name);
    }
    return result;
}

}  // namespace locald::image
