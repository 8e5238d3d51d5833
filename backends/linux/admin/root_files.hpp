#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::backends::admin {

/// A directory that nobody but root can exchange or write in.
struct RootDirectory {
    posix::UniqueFd fd;   ///< the directory, or the deepest parent that there is
    bool exists = false;  ///< false: `fd` is a parent of it
};

/// Opens `path` part by part from `/`. Every part must be a directory of root's that is no link and that nobody else
/// may write in; a parent may be one like /tmp, where the sticky bit keeps others from root's entries.
/// @param make  parts that are missing are made, 0755
/// @param made  gets the paths of those that were
/// @throws Error(denied) that names the part
RootDirectory open_root_directory(const std::string& path, bool make, std::vector<std::string>* made = nullptr);

/// The text of a file of root's; nothing when there is none. @throws Error when it is a link or no regular file
std::optional<std::string> read_root_file(const std::string& path);

/// Replaces a file in a directory of root's: a new file beside it, fsync, owner, mode, rename, fsync of the directory.
/// A kill at any moment leaves the old text or the new one, and at most a `.<name>.new`, which the next call replaces.
void write_root_file(const std::string& path, std::string_view text, mode_t mode = 0644, gid_t group = 0);
/// The first half of it: `temporary` is written, synced and has owner and mode.
void write_temporary(const posix::UniqueFd& dir, const std::string& temporary, std::string_view text, mode_t mode,
                     gid_t group);
void remove_root_file(const std::string& path);

/// fsync. @throws Error
void sync(const posix::UniqueFd& fd, std::string_view what);

/// The text of a file of the kernel's without blanks at its ends; empty when it is not there.
std::string kernel_text(const std::string& path);

std::string parent_of(const std::string& path);
std::string name_of(const std::string& path);

}  // namespace locald::backends::admin
