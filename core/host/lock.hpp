#pragma once

#include <optional>
#include <string>

namespace locald::host {

/// A lock on a file, held until destroyed or until the process ends however it ends (flock).
class FileLock {
public:
    enum class Mode { shared, exclusive };
    /// Creates the file (0600) when needed and waits. @throws Error
    static FileLock acquire(const std::string& path, Mode mode = Mode::exclusive);
    /// Nothing when somebody else holds it.
    static std::optional<FileLock> try_acquire(const std::string& path, Mode mode = Mode::exclusive);
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    ~FileLock();
    /// The descriptor, to hand the lock to a child process.
    int handle() const noexcept { return fd_; }

private:
    explicit FileLock(int fd) noexcept : fd_(fd) {}
    int fd_ = -1;
};

}  // namespace locald::host
