#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::posix {

/// The whole of a file. @throws Error(invalid) when it is longer than `most` bytes.
std::string read_file(const std::string& path, std::size_t most = 64U << 20U);
std::string read_all(const UniqueFd& fd, std::string_view what, std::size_t most = 64U << 20U);

/// Writes all of `text` to `fd`.
void write_all(const UniqueFd& fd, std::string_view text, std::string_view what);

/// Replaces `path`: a temporary file beside it, fsync, rename, fsync of the directory. A crash leaves the old or the
/// new text.
void replace_file(const std::string& path, std::string_view text, mode_t mode = 0644);
/// Like replace_file without the two fsyncs, for files that a restart of the host removes anyway.
void replace_file_unsynced(const std::string& path, std::string_view text, mode_t mode = 0644);

/// mkdir -p; existing directories keep their mode.
void make_directories(const std::string& path, mode_t mode = 0755);

/// The names in a directory, in order, without `.` and `..`; none when it is not there.
std::vector<std::string> names_in(const std::string& directory);

/// Removes a file or a whole tree by descriptors, follows no symlink, and gives directories it may not search their
/// rights back first. A path that is not there is no error. Owners that are not the caller's need the user namespace
/// that made them.
void remove_tree(const std::string& path);
/// The same for `name` in `dir`.
void remove_tree_at(const UniqueFd& dir, const std::string& name);

/// `path` made absolute with links resolved. @throws Error(not_found) …
std::string canonical_path(const std::string& path);

}  // namespace locald::posix
