#include "shim/mounts/copy_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

struct Close {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

void copy_file(const UniqueFd& from, const UniqueFd& to, const std::string& name) {
    constexpr std::size_t block = 1U << 20U;
    for (;;) {
        const ssize_t n = ::sendfile(to.get(), from.get(), nullptr, block);
        if (n == 0) return;
        if (n < 0 && errno != EINTR) throw_errno(errno, "copy ", name);
    }
}

void copy_link(const UniqueFd& from, const UniqueFd& to, const std::string& name) {
    std::array<char, 4096> target{};
    const ssize_t size = ::readlinkat(from.get(), name.c_str(), target.data(), target.size() - 1);
    if (size < 0) throw_errno(errno, "read link ", name);
    if (::symlinkat(target.data(), to.get(), name.c_str()) != 0) throw_errno(errno, "make link ", name);
}

void copy_metadata(const UniqueFd& to, const struct stat& st, const std::string& name) {
    if (::fchown(to.get(), st.st_uid, st.st_gid) != 0) throw_errno(errno, "chown ", name);
    if (::fchmod(to.get(), st.st_mode & 07777U) != 0) throw_errno(errno, "chmod ", name);
}

void copy_entry(const UniqueFd& from, const UniqueFd& to, const std::string& name, dev_t device);

void copy_children(const UniqueFd& from, const UniqueFd& to, dev_t device) {
    UniqueFd readable = posix::openat(from, ".", O_RDONLY | O_DIRECTORY);
    const std::unique_ptr<DIR, Close> stream(::fdopendir(readable.get()));
    if (!stream) throw_errno(errno, "read directory");
    static_cast<void>(readable.release());
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") copy_entry(from, to, name, device);
    }
}

void copy_entry(const UniqueFd& from, const UniqueFd& to, const std::string& name, dev_t device) {
    struct stat st {};
    if (::fstatat(from.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) throw_errno(errno, "stat ", name);
    if (st.st_dev != device && S_ISDIR(st.st_mode)) st.st_mode &= ~static_cast<mode_t>(S_IFMT);
    if (S_ISLNK(st.st_mode)) {
        copy_link(from, to, name);
    } else if (S_ISREG(st.st_mode)) {
        const UniqueFd source = posix::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (!S_ISREG(posix::fstat(source, name).st_mode)) return;
        const UniqueFd copy = posix::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        copy_file(source, copy, name);
        copy_metadata(copy, st, name);
    } else if (S_ISDIR(st.st_mode)) {
        const UniqueFd source = posix::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (::mkdirat(to.get(), name.c_str(), 0700) != 0) throw_errno(errno, "make directory ", name);
        const UniqueFd copy = posix::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        copy_children(source, copy, device);
        copy_metadata(copy, st, name);
    }
}

}  // namespace

void copy_tree(const UniqueFd& from, const UniqueFd& to, bool mode_too) {
    struct stat st = posix::fstat(from, "the directory to copy");
    if (!S_ISDIR(st.st_mode)) throw Error(ErrorKind::invalid, "the destination is not a directory", ENOTDIR);
    copy_children(from, to, st.st_dev);
    const UniqueFd top = posix::openat(to, ".", O_RDONLY | O_DIRECTORY);
    if (!mode_too) st.st_mode = posix::fstat(top, "the new file system").st_mode;
    copy_metadata(top, st, ".");
}

}  // namespace locald::shim
