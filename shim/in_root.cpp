#include "shim/in_root.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

std::string clean_path(std::string_view path) {
    std::vector<std::string_view> parts;
    for (const auto part : split(path, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else {
            parts.push_back(part);
        }
    }
    std::string clean;
    for (const auto part : parts) clean.append("/").append(part);
    return clean.empty() ? "/" : clean;
}

ParentAndName split_path(const std::string& clean) {
    const auto slash = clean.find_last_of('/');
    return {slash == 0 ? "/" : clean.substr(0, slash), clean.substr(slash + 1)};
}

UniqueFd find_in_root(const UniqueFd& root, const std::string& path) {
    // Tried without an exception first: targets that are missing are the usual case for masked paths.
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
    if (fd || errno == ENOENT || errno == ENOTDIR) return fd;
    if (errno != EAGAIN && errno != EINTR) throw_errno(errno, "open ", path, " inside the root filesystem");
    return posix::open_in_root(root, path, O_PATH);
}

UniqueFd make_directory_in_root(const UniqueFd& root, const std::string& path) {
    const std::string clean = clean_path(path);
    UniqueFd at = find_in_root(root, clean);
    if (at) return at;
    const auto [parent, name] = split_path(clean);
    const UniqueFd above = make_directory_in_root(root, parent);
    if (::mkdirat(above.get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
        throw_errno(errno, "make directory ", clean, " inside the root filesystem");
    }
    // O_NOFOLLOW: a link that somebody put there meanwhile, or that leads nowhere, is not walked.
    at.reset(::openat(above.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!at) {
        const int err = errno;
        throw Error(ErrorKind::invalid,
                    "make directory " + clean + " inside the root filesystem: " +
                        (err == ELOOP || err == ENOTDIR ? "a file or a link that leads nowhere is in its place"
                                                        : errno_text(err)),
                    err);
    }
    return at;
}

UniqueFd make_target_in_root(const UniqueFd& root, const std::string& path, bool directory) {
    const std::string clean = clean_path(path);
    UniqueFd at = find_in_root(root, clean);
    if (at) return at;
    if (directory) return make_directory_in_root(root, clean);
    const auto [parent, name] = split_path(clean);
    const UniqueFd above = make_directory_in_root(root, parent);
    const UniqueFd made(::openat(above.get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!made && errno != EEXIST) throw_errno(errno, "make file ", clean, " inside the root filesystem");
    at.reset(::openat(above.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!at) throw_errno(errno, "open ", clean, " inside the root filesystem");
    const struct stat st = posix::fstat(at, clean);
    if (!S_ISREG(st.st_mode)) {
        throw Error(ErrorKind::invalid,
                    "make file " + clean + " inside the root filesystem: a link that leads nowhere is in its place");
    }
    return at;
}

}  // namespace locald::shim
