#include "shim/mounts/mount_api.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

using posix::UniqueFd;

FsContext::FsContext(const std::string& type, std::string what)
    : what_(std::move(what)), fd_(static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC))) {
    if (fd_) return;
    const int err = errno;
    if (err == ENODEV) {
        throw Error(ErrorKind::unsupported, what_ + ": this kernel has no file system \"" + type + "\"", err)
            .with_remedy("load its module, or leave the mount out");
    }
    throw_errno(err, what_, ": fsopen ", type);
}

FsContext::FsContext(const UniqueFd& target, std::string what)
    : what_(std::move(what)),
      fd_(static_cast<int>(::syscall(SYS_fspick, target.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH))) {
    if (!fd_) throw_errno(errno, what_, ": fspick");
}

void FsContext::fail(const std::string& step, int err) const {
    // Each read gives one message: `e ` for an error, then the file system's own words.
    std::string words;
    std::array<char, 512> line{};
    for (ssize_t n = 0; (n = ::read(fd_.get(), line.data(), line.size())) > 2;) {
        std::string text(line.data() + 2, static_cast<std::size_t>(n) - 2);
        while (!text.empty() && text.back() == '\n') text.pop_back();
        words += (words.empty() ? "" : ", ") + text;
    }
    Error error(kind_of_errno(err), what_ + ": " + step + ": " + (words.empty() ? "" : words + ": ") + errno_text(err),
                err);
    throw error;
}

void FsContext::set(const std::string& key, const std::string& value) const {
    if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) != 0) {
        fail("option " + key + "=" + value, errno);
    }
}

void FsContext::set_flag(const std::string& key) const {
    if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0) != 0) {
        fail("option " + key, errno);
    }
}

UniqueFd FsContext::mount(std::uint64_t attributes) const {
    if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) fail("create", errno);
    UniqueFd mount(
        static_cast<int>(::syscall(SYS_fsmount, fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes))));
    if (!mount) fail("fsmount", errno);
    return mount;
}

void FsContext::reconfigure() const {
    if (::syscall(SYS_fsconfig, fd_.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) != 0) {
        fail("reconfigure", errno);
    }
}

UniqueFd clone_mount(const UniqueFd& dir, const std::string& path, bool recursive, bool nofollow) {
    const unsigned flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U) | (nofollow ? AT_SYMLINK_NOFOLLOW : 0U);
    UniqueFd mount(static_cast<int>(::syscall(SYS_open_tree, dir ? dir.get() : AT_FDCWD, path.c_str(), flags)));
    if (!mount) throw_errno(errno, "open_tree ", path);
    return mount;
}

UniqueFd clone_mount_of(const UniqueFd& at, bool recursive, const std::string& what) {
    const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
    UniqueFd mount(static_cast<int>(::syscall(SYS_open_tree, at.get(), "", flags)));
    if (!mount) throw_errno(errno, what, ": open_tree");
    return mount;
}

UniqueFd clone_file(const UniqueFd& at, const std::string& what, std::uint64_t attributes) {
    UniqueFd file = clone_mount_of(at, false, what);
    change_mount(file, false, attributes, 0, MS_PRIVATE, what);
    return file;
}

void attach_mount(const UniqueFd& mount, const UniqueFd& target, const std::string& what) {
    if (::syscall(SYS_move_mount, mount.get(), "", target.get(), "",
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
        const int err = errno;
        Error error(kind_of_errno(err), what + ": move_mount: " + errno_text(err), err);
        struct stat from {};
        struct stat onto {};
        if (err == EINVAL && ::fstat(mount.get(), &from) == 0 && ::fstat(target.get(), &onto) == 0 &&
            S_ISDIR(from.st_mode) != S_ISDIR(onto.st_mode)) {
            error.with_remedy(S_ISDIR(onto.st_mode)
                                  ? "the target is a directory and the source is not; mount it on a file"
                                  : "the source is a directory and the target is not; mount it elsewhere");
        }
        throw error;
    }
}

void change_mount(const UniqueFd& mount, bool recursive, std::uint64_t set, std::uint64_t clear,
                  std::uint64_t propagation, const std::string& what, int user_namespace) {
    mount_attr attributes{};
    attributes.attr_set = set;
    attributes.attr_clr = clear;
    attributes.propagation = propagation;
    if (user_namespace >= 0) attributes.userns_fd = static_cast<__u64>(user_namespace);
    if (::syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes,
                  sizeof attributes) == 0) {
        return;
    }
    const int err = errno;
    Error error(kind_of_errno(err), what + ": mount_setattr: " + errno_text(err), err);
    if (err == EINVAL && ((set | clear) & MOUNT_ATTR_NOSYMFOLLOW) != 0) {
        error.with_remedy("nosymfollow takes Linux 5.14");
    }
    if (err == EPERM) {
        error.with_remedy(
            "flags that a mount has outside (ro, nosuid, nodev, noexec, atime) cannot be taken away in a "
            "user namespace: leave the opposite option out");
    }
    throw error;
}

void apply_mount_options(const MountOptions& options, const UniqueFd& mount, const std::string& what) {
    if (options.set != 0 || options.clear != 0) change_mount(mount, false, options.set, options.clear, 0, what);
    if (options.recursive_set != 0 || options.recursive_clear != 0) {
        change_mount(mount, true, options.recursive_set, options.recursive_clear, 0, what);
    }
}

}  // namespace locald::shim
