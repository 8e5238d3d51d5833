#include "shim/mounts/in_root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

ParentAndName split_path(const std::string& clean) {
    const auto slash = clean.find_last_of('/');
    return {slash == 0 ? "/" : clean.substr(0, slash), clean.substr(slash + 1)};
}

namespace {

/// openat2 of O_PATH that stays inside the root; an empty handle and errno for what is not there.
UniqueFd try_in_root(const UniqueFd& root, const char* path, std::uint64_t flags) noexcept {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC | flags;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root.get(), path, &how, sizeof how)));
}

}  // namespace

UniqueFd find_in_root(const UniqueFd& root, const std::string& path) {
    // Tried without an exception first: targets that are missing are the usual case for masked paths.
    UniqueFd fd = try_in_root(root, path.c_str(), 0);
    if (fd || errno == ENOENT || errno == ENOTDIR) return fd;
    if (errno != EAGAIN && errno != EINTR) throw_errno(errno, "open ", path, " inside the root filesystem");
    return posix::open_in_root(root, path, O_PATH);
}

std::string read_link(const UniqueFd& link, const std::string& what) {
    std::string text(PATH_MAX, '\0');
    const ssize_t n = ::readlinkat(link.get(), "", text.data(), text.size());
    if (n < 0) throw_errno(errno, what);
    text.resize(static_cast<std::size_t>(n));
    return text;
}

namespace {

constexpr int most_links = 40;  // as the kernel has it

/// The parts of `text` in front of what is still to walk.
void put_in_front(std::deque<std::string>& todo, std::string_view text) {
    std::deque<std::string> parts;
    for (const auto part : split(text, '/')) {
        if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    todo.insert(todo.begin(), parts.begin(), parts.end());
}

/// Makes what is missing and opens it. Links are followed by their text, from the root or from the directory that they
/// are in, so that one whose target the image lacks (/etc/resolv.conf of a host with systemd-resolved) gets the target.
/// The kernel never follows a link nor a ".." for us: what lies outside of the root has no name here.
UniqueFd make_in_root(const UniqueFd& root, const std::string& path, bool directory) {
    const std::string what = (directory ? "make directory " : "make file ") + path + " inside the root filesystem";
    std::deque<std::string> todo;
    put_in_front(todo, path);
    std::vector<UniqueFd> below;  // from the root to where the walk stands
    for (int links = 0; !todo.empty();) {
        const std::string name = std::move(todo.front());
        todo.pop_front();
        if (name == "..") {
            if (!below.empty()) below.pop_back();
            continue;
        }
        const int here = below.empty() ? root.get() : below.back().get();
        const bool last = todo.empty();
        constexpr int plain = O_PATH | O_NOFOLLOW | O_CLOEXEC;
        UniqueFd at(::openat(here, name.c_str(), plain));
        if (!at && errno == ENOENT) {
            if (last && !directory) {
                const UniqueFd made(::openat(here, name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
                if (!made && errno != EEXIST) throw_errno(errno, what);
            } else if (::mkdirat(here, name.c_str(), 0755) != 0 && errno != EEXIST) {
                throw_errno(errno, what);
            }
            at.reset(::openat(here, name.c_str(), plain));
        }
        if (!at) throw_errno(errno, what);
        const struct stat st = posix::fstat(at, path);
        if (S_ISLNK(st.st_mode)) {
            if (++links > most_links) throw_errno(ELOOP, what);
            const std::string text = read_link(at, what);
            if (text.rfind('/', 0) == 0) below.clear();
            put_in_front(todo, text);
            continue;
        }
        if (!S_ISDIR(st.st_mode) && (!last || directory)) {
            std::string text = what;
            throw Error(ErrorKind::invalid, text.append(": ").append(name).append(" is no directory"), ENOTDIR);
        }
        below.push_back(std::move(at));
    }
    if (!below.empty()) return std::move(below.back());
    UniqueFd at(::openat(root.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at) throw_errno(errno, what);
    return at;
}

/// Makes the last component alone, as mostly nothing else is missing. Empty where there is more to do or to say:
/// make_in_root() does it.
UniqueFd make_last_in_root(const UniqueFd& root, const std::string& clean, bool directory) {
    const auto [parent, name] = split_path(clean);
    const UniqueFd above = try_in_root(root, parent.c_str(), O_DIRECTORY);
    if (!above || name.empty()) return {};
    if (!directory) {
        const UniqueFd made(::openat(above.get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (!made) return {};
    } else if (::mkdirat(above.get(), name.c_str(), 0755) != 0) {
        return {};  // with EEXIST a link that leads nowhere yet
    }
    const int kind = directory ? O_DIRECTORY : 0;
    UniqueFd at(::openat(above.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC | kind));
    return at && (directory || S_ISREG(posix::fstat(at, clean).st_mode)) ? std::move(at) : UniqueFd();
}

}  // namespace

UniqueFd make_directory_in_root(const UniqueFd& root, const std::string& path) {
    return make_target_in_root(root, path, true);
}

UniqueFd find_nofollow(const UniqueFd& root, const std::string& clean) {
    const auto [parent, name] = split_path(clean);
    const UniqueFd above = find_in_root(root, parent);
    UniqueFd at(above ? ::openat(above.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1);
    if (!at && above && errno != ENOENT) throw_errno(errno, "open ", clean, " inside the root filesystem");
    return at;
}

UniqueFd make_target_nofollow(const UniqueFd& root, const std::string& path, bool directory) {
    const auto [parent, name] = split_path(clean_path(path));
    const UniqueFd above = make_target_in_root(root, parent, true);
    UniqueFd at(::openat(above.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return at ? std::move(at) : make_in_root(above, name, directory);
}

void make_link_in_root(const UniqueFd& root, const std::string& path, const std::string& text) {
    const auto [parent, name] = split_path(clean_path(path));
    const UniqueFd above = make_target_in_root(root, parent, true);
    if (::symlinkat(text.c_str(), above.get(), name.c_str()) == 0) return;
    const int err = errno;
    const UniqueFd at(::openat(above.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (err == EEXIST && at && S_ISLNK(posix::fstat(at, path).st_mode) && read_link(at, path) == text) return;
    throw_errno(err, "make the link ", path, " inside the root filesystem");
}

UniqueFd make_missing_in_root(const UniqueFd& root, const std::string& clean, bool directory) {
    UniqueFd at = make_last_in_root(root, clean, directory);
    return at ? std::move(at) : make_in_root(root, clean, directory);
}

UniqueFd make_target_in_root(const UniqueFd& root, const std::string& path, bool directory) {
    const std::string clean = clean_path(path);
    UniqueFd at = find_in_root(root, clean);
    return at ? std::move(at) : make_missing_in_root(root, clean, directory);
}

}  // namespace locald::shim
