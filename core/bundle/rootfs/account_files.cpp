#include "core/bundle/rootfs/account_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::bundle {

namespace {

constexpr std::size_t most_bytes = 1U << 20U;
constexpr int most_links = 40;  // as the kernel's own limit

/// A directory of the merged tree: one handle a layer that has it, topmost first.
using Merged = std::vector<std::shared_ptr<const posix::UniqueFd>>;

bool is_opaque(const posix::UniqueFd& dir) {
    // A path handle has no xattrs of its own; its name in /proc leads to the same inode.
    const std::string path = "/proc/self/fd/" + std::to_string(dir.get());
    char value = 0;
    return ::getxattr(path.c_str(), "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/// What `name` is in a merged directory: a directory, or one thing of the topmost layer that has it, or nothing.
struct Found {
    Merged directory;
    posix::UniqueFd other;  ///< O_PATH, never followed
    mode_t type = 0;        ///< S_IFDIR, S_IFREG, …; 0: not there
};

Found look_up(const Merged& parent, const std::string& name) {
    Found found;
    for (const auto& layer : parent) {
        posix::UniqueFd here(::openat(layer->get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!here) {
            // A directory that the caller may not search has nothing for him; to fail would keep the image from running
            // for the sake of a name.
            if (errno == ENOENT || errno == EACCES || errno == ENAMETOOLONG) continue;
            throw_errno(errno, "open ", name, " of the image");
        }
        const struct stat st = posix::fstat(here, name);
        if (!S_ISDIR(st.st_mode)) {
            const bool is_whiteout = S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
            if (!found.directory.empty() || is_whiteout) break;
            found.type = st.st_mode & S_IFMT;
            found.other = std::move(here);
            return found;
        }
        found.type = S_IFDIR;
        const bool hides_the_rest = is_opaque(here);
        found.directory.push_back(std::make_shared<const posix::UniqueFd>(std::move(here)));
        if (hides_the_rest) break;
    }
    return found;
}

std::string link_target(const posix::UniqueFd& link) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(link.get(), "", target.data(), target.size());
    if (size < 0) throw_errno(errno, "read a link of the image");
    return {target.data(), static_cast<std::size_t>(size)};
}

/// Walks to `path` one component at a time, so that a link is followed in the merged tree and `..` stops at its root.
Found walk(const Merged& root, const std::string& path) {
    std::vector<Merged> trail{root};
    std::vector<std::string> rest;  // components still to go, the next one last
    const auto push = [&rest](std::string_view text) {
        const auto parts = split(text, '/');
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            if (!part->empty() && *part != ".") rest.emplace_back(*part);
        }
    };
    push(path);
    int links = 0;
    while (!rest.empty()) {
        const std::string name = std::move(rest.back());
        rest.pop_back();
        if (name == "..") {
            if (trail.size() > 1) trail.pop_back();
            continue;
        }
        Found found = look_up(trail.back(), name);
        if (found.type == S_IFLNK) {
            if (++links > most_links || rest.size() > PATH_MAX) return {};
            const std::string target = link_target(found.other);
            if (target.starts_with('/')) trail.resize(1);
            push(target);
        } else if (found.type == S_IFDIR) {
            trail.push_back(std::move(found.directory));
        } else {
            // A file in the middle of a path leads nowhere.
            return rest.empty() ? std::move(found) : Found{};
        }
    }
    Found directory;
    directory.type = S_IFDIR;
    return directory;
}

std::string read_account_file(const Merged& root, const std::string& path) {
    const Found found = walk(root, path);
    if (found.type == 0) return {};
    if (found.type != S_IFREG) {
        throw Error(ErrorKind::invalid, "read " + path + " of the image: not a regular file");
    }
    // The handle is a regular file's, so neither opening nor reading it can wait for anybody.
    const std::string again = "/proc/self/fd/" + std::to_string(found.other.get());
    const posix::UniqueFd file(::open(again.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) {
        if (errno == EACCES) return {};
        throw_errno(errno, "open ", path, " of the image");
    }
    return posix::read_all(file, path + " of the image", most_bytes);
}

}  // namespace

AccountFiles read_account_files(const std::vector<std::string>& layers) {
    Merged root;
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
        root.push_back(std::make_shared<const posix::UniqueFd>(posix::open(*layer, O_PATH | O_DIRECTORY)));
    }
    return {read_account_file(root, "/etc/passwd"), read_account_file(root, "/etc/group")};
}

}  // namespace locald::bundle
