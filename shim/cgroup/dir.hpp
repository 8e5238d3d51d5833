#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/posix/unique_fd.hpp"
#include "shim/cgroup/layout.hpp"

namespace locald::shim {

/// One directory of a mounted cgroup hierarchy, by descriptor. No symlink is followed below the mount point, and the
/// mount point is checked to be of the cgroup file system.
class CgroupDir {
public:
    CgroupDir() = default;
    /// The root of the hierarchy as mounted; empty when it is gone.
    static CgroupDir root_of(const CgroupMount& mount);
    /// The directory at the absolute `path`; empty when it does not exist or is in no hierarchy.
    static CgroupDir open(const CgroupHost& host, const std::string& path);

    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    const posix::UniqueFd& fd() const noexcept { return fd_; }
    posix::UniqueFd take() noexcept { return std::move(fd_); }
    /// A second handle on the same directory.
    CgroupDir share() const;
    const std::string& path() const noexcept { return path_; }

    /// A child; empty with errno set when it cannot be opened.
    CgroupDir child(const std::string& name) const;
    /// 0 or the errno of mkdir.
    int make(const std::string& name) const;
    /// 0 or the errno of rmdir.
    int remove(const std::string& name) const;
    std::vector<std::string> children() const;
    /// The names of the files.
    std::vector<std::string> files() const;

    bool has(const std::string& file) const;
    /// The text of a file; nothing when it cannot be read.
    std::optional<std::string> read(const std::string& file) const;
    /// 0 or the errno of open or write. One write(2), as cgroup files want it.
    int write(const std::string& file, const std::string& text) const;
    /// True when this directory and the given file in it may be written by this process.
    bool writable(const std::string& file) const;

    /// The processes in this directory alone.
    std::vector<pid_t> processes() const;
    /// The same with all directories below it.
    std::vector<pid_t> all_processes() const;
    /// The value of the line `key value` of a file; nothing when there is no such line.
    std::optional<std::uint64_t> value(const std::string& file, std::string_view key) const;

private:
    std::vector<std::string> names(unsigned char type) const;

    CgroupDir(posix::UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    posix::UniqueFd fd_;
    std::string path_;
};

}  // namespace locald::shim
