#include "backends/linux/admin/root_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

constexpr int as_directory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw Error(ErrorKind::denied, path + " " + why + ", so others could exchange what root puts below it")
        .with_remedy("make it root's alone, or choose another place with --prefix");
}

/// @param last  nobody else may write here at all; above it a sticky directory is as good
void check(const posix::UniqueFd& fd, const std::string& path, bool last) {
    const auto st = posix::fstat(fd, path);
    if (st.st_uid != 0) refuse(path, "belongs to user " + std::to_string(st.st_uid) + " and not to root");
    const bool others = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (others && (last || (st.st_mode & S_ISVTX) == 0)) refuse(path, "may be written by others than root");
}

}  // namespace

std::string parent_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

RootDirectory open_root_directory(const std::string& path, bool make, std::vector<std::string>* made) {
    RootDirectory found{posix::open("/", as_directory), true};
    std::string shown;
    const std::string clean = clean_path(path);
    check(found.fd, "/", clean == "/");
    for (const auto part : split(std::string_view(clean).substr(1), '/')) {
        if (part.empty()) break;
        const std::string name(part);
        shown += "/" + name;
        if (make && ::mkdirat(found.fd.get(), name.c_str(), 0755) == 0) {
            if (made != nullptr) made->push_back(shown);
        } else if (make && errno != EEXIST) {
            throw_errno(errno, "make directory ", shown);
        }
        posix::UniqueFd next(::openat(found.fd.get(), name.c_str(), as_directory));
        if (!next && errno == ENOENT && !make) {
            found.exists = false;
            break;
        }
        if (!next && (errno == ENOTDIR || errno == ELOOP)) {
            struct stat st {};
            const bool link =
                ::fstatat(found.fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
            throw Error(ErrorKind::denied, shown + (link ? " is a symbolic link" : " is no directory"))
                .with_remedy("name the place itself with --prefix, or remove it");
        }
        if (!next) throw_errno(errno, "open directory ", shown);
        check(next, shown, shown == clean);
        found.fd = std::move(next);
    }
    found.fd = posix::openat(found.fd, ".", O_RDONLY | O_DIRECTORY);
    return found;
}

std::optional<std::string> read_root_file(const std::string& path) {
    const posix::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
    if (!file && errno == ELOOP) {
        throw Error(ErrorKind::denied, path + " is a symbolic link").with_remedy("remove it, it is written anew");
    }
    if (!file) throw_errno(errno, "open ", path);
    if (!S_ISREG(posix::fstat(file, path).st_mode)) {
        throw Error(ErrorKind::denied, path + " is no regular file").with_remedy("remove it, it is written anew");
    }
    return posix::read_all(file, path);
}

void sync(const posix::UniqueFd& fd, std::string_view what) {
    if (::fsync(fd.get()) != 0) throw_errno(errno, "fsync ", what);
}

void write_temporary(const posix::UniqueFd& dir, const std::string& temporary, std::string_view text, mode_t mode,
                     gid_t group) {
    // What a killed setup left; nobody else can have made it here.
    if (::unlinkat(dir.get(), temporary.c_str(), 0) != 0 && errno != ENOENT) throw_errno(errno, "remove ", temporary);
    const posix::UniqueFd file =
        posix::openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    try {
        posix::write_all(file, text, temporary);
        sync(file, temporary);
        if (::fchown(file.get(), 0, group) != 0) throw_errno(errno, "chown ", temporary);
        if (::fchmod(file.get(), mode) != 0) throw_errno(errno, "chmod ", temporary);  // last: chown takes setuid away
        sync(file, temporary);
    } catch (...) {
        ::unlinkat(dir.get(), temporary.c_str(), 0);
        throw;
    }
}

void write_root_file(const std::string& path, std::string_view text, mode_t mode, gid_t group) {
    const auto dir = open_root_directory(parent_of(path), true);
    const std::string temporary = "." + name_of(path) + ".new";
    in_step("write " + path, [&] {
        write_temporary(dir.fd, temporary, text, mode, group);
        if (::renameat(dir.fd.get(), temporary.c_str(), dir.fd.get(), name_of(path).c_str()) != 0) {
            throw_errno(errno, "rename ", temporary);
        }
        sync(dir.fd, parent_of(path));
    });
}

void remove_root_file(const std::string& path) {
    const auto dir = open_root_directory(parent_of(path), false);
    if (!dir.exists) return;
    if (::unlinkat(dir.fd.get(), name_of(path).c_str(), 0) != 0 && errno != ENOENT) throw_errno(errno, "remove ", path);
}

std::string kernel_text(const std::string& path) {
    const posix::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return {};
    return std::string(trim(posix::read_all(file, path)));
}

}  // namespace locald::backends::admin
