#include "core/image/layer_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <deque>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/layer_path.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

// Several layers unpack at once and the usual limit is 1024 descriptors for all of them.
constexpr std::size_t most_cached = 64;
constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

std::string read_link_at(const posix::UniqueFd& dir, const std::string& name, const std::string& shown) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(dir.get(), name.c_str(), target.data(), target.size());
    if (length < 0) throw_errno(errno, "read link ", shown);
    return {target.data(), static_cast<std::size_t>(length)};
}

[[noreturn]] void throw_too_many_links(const std::string& asked) {
    throw Error(ErrorKind::corrupt, "entry below " + asked + ": too many symlinks");
}

[[noreturn]] void throw_no_directory(const std::string& asked, const std::string& path) {
    throw Error(ErrorKind::corrupt, "entry below " + asked + ": " + path + " is no directory");
}

template <class Container>
void erase_below(Container& container, const std::string& path) {
    container.erase(path);
    const std::string from = path + "/";
    const std::string to = path + "0";  // '0' follows '/'
    container.erase(container.lower_bound(from), container.lower_bound(to));
}

}  // namespace

LayerTree::LayerTree(const posix::UniqueFd& root, Lower lower, const Owners& owners, Losses& losses)
    : root_(root), lower_(std::move(lower)), owners_(owners), losses_(losses) {
    root_directory_ =
        std::make_shared<const Directory>(Directory{posix::openat(root_, ".", directory_flags), std::string()});
}

posix::UniqueFd LayerTree::open(const std::string& path, int flags) const {
    return posix::openat2(root_, path.empty() ? "." : path, static_cast<std::uint64_t>(flags),
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

bool LayerTree::has_lower() const { return lower_ != nullptr; }

std::optional<MergedTree::Node> LayerTree::find_lower(const std::string& path) {
    if (!has_lower()) return std::nullopt;
    if (!opaque_.empty()) {
        if (opaque_.contains("")) return std::nullopt;
        for (auto end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
            if (opaque_.contains(path.substr(0, end))) return std::nullopt;
        }
    }
    return lower().find(path);
}

std::shared_ptr<const LayerTree::Directory> LayerTree::directory(const std::vector<std::string>& components) {
    if (components.empty()) return root_directory_;
    const std::string path = join_components(components);
    if (const auto cached = cache_.find(path); cached != cache_.end()) return cached->second;
    try {
        return remember(path, {open(path, directory_flags), path});
    } catch (const Error& e) {
        if (e.os_errno() != ENOENT && e.os_errno() != ELOOP && e.os_errno() != ENOTDIR) throw;
    }
    return walk(components);
}

std::shared_ptr<const LayerTree::Directory> LayerTree::remember(const std::string& asked, Directory directory) {
    if (cache_.size() >= most_cached) {
        cache_.clear();
        cache_has_links_ = false;
    }
    if (asked != directory.path) cache_has_links_ = true;
    auto shared = std::make_shared<const Directory>(std::move(directory));
    cache_[asked] = shared;
    return shared;
}

std::shared_ptr<const LayerTree::Directory> LayerTree::walk(const std::vector<std::string>& components) {
    const std::string asked = join_components(components);
    std::deque<std::string> ahead(components.begin(), components.end());
    std::vector<std::string> here;
    int links = 0;
    const auto follow = [&](const std::string& target) {
        if (++links > most_links) throw_too_many_links(asked);
        if (target.starts_with('/')) here.clear();
        const auto parts = split(target, '/');
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) ahead.emplace_front(*part);
    };
    Directory current{open("", directory_flags), ""};
    while (!ahead.empty()) {
        const std::string name = std::move(ahead.front());
        ahead.pop_front();
        if (name.empty() || name == ".") continue;
        if (name == "..") {
            if (!here.empty()) here.pop_back();  // the root's parent is the root
            current = {open(join_components(here), directory_flags), join_components(here)};
            continue;
        }
        const std::string path = join_path(current.path, name);
        struct stat st {};
        const bool own = ::fstatat(current.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!own && errno != ENOENT) throw_errno(errno, "stat ", path);
        const auto below = own ? std::nullopt : find_lower(path);
        if (own && S_ISLNK(st.st_mode)) {
            follow(read_link_at(current.fd, name, path));
        } else if (below && S_ISLNK(below->st.st_mode)) {
            follow(lower().read_link(*below, path));
        } else {
            if (own && !S_ISDIR(st.st_mode) && !is_whiteout(st)) {
                throw_no_directory(asked, path);
            }
            if (!own || is_whiteout(st)) make_missing(current, name, path, below);
            here.push_back(name);
            current = {open(path, directory_flags), path};
            continue;
        }
        current = {open(join_components(here), directory_flags), join_components(here)};
    }
    return remember(asked, std::move(current));
}

void LayerTree::make_missing(const Directory& parent, const std::string& name, const std::string& path,
                             const std::optional<MergedTree::Node>& below) {
    Attributes attributes;
    if (below && S_ISDIR(below->st.st_mode)) {
        const posix::UniqueFd model = lower().open(below->layer, path, directory_flags);
        attributes = attributes_of(model.get(), below->st, path);
    }
    put_directory(parent, name, std::move(attributes));
}

void LayerTree::put_directory(const Directory& parent, const std::string& name, Attributes attributes) {
    const std::string path = join_path(parent.path, name);
    // Without the rights of the end until then: its entries are made by whoever unpacks, and no set-group-id bit may
    // give them a group.
    if (::mkdirat(parent.fd.get(), name.c_str(), S_IRWXU) != 0) {
        if (errno != EEXIST) throw_errno(errno, "create directory ", path);
        struct stat st {};
        if (::fstatat(parent.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) throw_errno(errno, "stat ", path);
        if (!S_ISDIR(st.st_mode)) {
            remove_own(parent, name);
            if (::mkdirat(parent.fd.get(), name.c_str(), S_IRWXU) != 0) throw_errno(errno, "create directory ", path);
            // The whiteout meant the lower directory: it must not show through the new one.
            if (is_whiteout(st)) make_opaque(path, posix::openat(parent.fd, name, directory_flags).get());
        }
    } else if (cache_has_links_) {
        forget_links();
    }
    pending_[path] = std::move(attributes);
}

void LayerTree::remove_own(const Directory& parent, const std::string& name) {
    const std::string path = join_path(parent.path, name);
    cache_.clear();
    cache_has_links_ = false;
    erase_below(pending_, path);
    erase_below(opaque_, path);
    posix::remove_tree_at(parent.fd, name);
}

void LayerTree::forget_links() {
    if (!cache_has_links_) return;
    cache_.clear();
    cache_has_links_ = false;
}

void LayerTree::make_opaque(const std::string& path, int fd) {
    opaque_.insert(path);
    if (has_lower() && ::fsetxattr(fd, opaque_xattr, "y", 1, 0) != 0) {
        throw_errno(errno, "mark ", path, " as opaque");
    }
}

void LayerTree::hide(const Directory& parent, const std::string& name) {
    const std::string path = join_path(parent.path, name);
    struct stat st {};
    if (::fstatat(parent.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode)) make_opaque(path, posix::openat(parent.fd, name, directory_flags).get());
        return;
    }
    if (errno != ENOENT) throw_errno(errno, "stat ", path);
    // A whiteout over nothing would show up in a directory that only this layer has.
    if (opaque_.contains(parent.path) || !find_lower(path)) return;
    if (::mknodat(parent.fd.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
        throw_errno(errno, "create the whiteout ", path);
    }
}

void LayerTree::hide_below(const Directory& directory) {
    make_opaque(directory.path, directory.fd.get());
    // Opaque and plain whiteouts in one directory confuse overlayfs's listing.
    posix::UniqueFd fd = posix::openat(directory.fd, ".", directory_flags);
    const int number = fd.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(number), ::closedir);
    if (!stream) throw_errno(errno, "read directory ", directory.path);
    static_cast<void>(fd.release());
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        struct stat st {};
        if (::fstatat(number, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_whiteout(st)) {
            ::unlinkat(number, entry->d_name, 0);
        }
    }
}

void LayerTree::finish() {
    cache_.clear();
    // Children sort behind their parents, so backwards no directory loses its rights before its children are done.
    for (auto entry = pending_.rbegin(); entry != pending_.rend(); ++entry) {
        const std::string& path = entry->first;
        const posix::UniqueFd fd = open(path, directory_flags);
        set_attributes(fd.get(), entry->second, owners_, losses_, path.empty() ? "the root directory" : path);
    }
}

}  // namespace locald::image
