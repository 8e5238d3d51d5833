#include "core/host/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <utility>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

/// The locked file, or an empty handle when somebody else holds the lock and `wait` is false.
Handle open_and_lock(const std::string& path, FileLock::Mode mode, bool wait) {
    int operation = mode == FileLock::Mode::exclusive ? LOCK_EX : LOCK_SH;
    if (!wait) operation |= LOCK_NB;
    for (;;) {
        Handle file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file) throw_errno(errno, "open lock file ", path);
        int result = 0;
        do {
            result = ::flock(file.get(), operation);
        } while (result != 0 && errno == EINTR);
        if (result != 0) {
            if (errno == EWOULDBLOCK) return {};
            throw_errno(errno, "lock ", path);
        }
        // Whoever held it before may have removed the file: a lock on a file without this name protects nothing.
        struct stat ours {};
        struct stat named {};
        if (::fstat(file.get(), &ours) != 0) throw_errno(errno, "look at lock file ", path);
        if (::lstat(path.c_str(), &named) == 0 && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino) {
            return file;
        }
    }
}

}  // namespace

FileLock FileLock::acquire(const std::string& path, Mode mode) {
    return FileLock(open_and_lock(path, mode, true).release());
}

std::optional<FileLock> FileLock::try_acquire(const std::string& path, Mode mode) {
    Handle file = open_and_lock(path, mode, false);
    if (!file) return std::nullopt;
    return FileLock(file.release());
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
    Handle old(std::exchange(fd_, std::exchange(other.fd_, -1)));
    return *this;
}

FileLock::~FileLock() { Handle(fd_).reset(); }

}  // namespace locald::host
