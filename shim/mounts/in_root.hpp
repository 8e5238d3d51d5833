#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// The container's root filesystem belongs to whoever made the image: every name below it is resolved inside it by the
// kernel, once, and acted on by descriptor.

/// Opens `path` (O_PATH) below `root`; empty when it does not exist.
posix::UniqueFd find_in_root(const posix::UniqueFd& root, const std::string& path);

/// The same of a clean path whose last component is not followed when it is a link.
posix::UniqueFd find_nofollow(const posix::UniqueFd& root, const std::string& clean);

/// Opens the directory `path` (O_PATH) below `root` and makes what is missing of it with mode 0755, one component after
/// the other. The target of a link that leads nowhere is made as well, inside `root`, as runc does it.
posix::UniqueFd make_directory_in_root(const posix::UniqueFd& root, const std::string& path);

/// Opens `path` (O_PATH) below `root` as a mount target; when missing it is made as a directory or an empty file.
posix::UniqueFd make_target_in_root(const posix::UniqueFd& root, const std::string& path, bool directory);

/// The same for a clean path that was just looked for in vain.
posix::UniqueFd make_missing_in_root(const posix::UniqueFd& root, const std::string& clean, bool directory);

/// Like make_target_in_root, but a link at the end is opened itself.
posix::UniqueFd make_target_nofollow(const posix::UniqueFd& root, const std::string& path, bool directory);

/// Makes the link `path` to `text` and the directories above it; fine when it is there already, an error when something
/// else is.
void make_link_in_root(const posix::UniqueFd& root, const std::string& path, const std::string& text);

/// The text of the link that an O_PATH descriptor refers to.
std::string read_link(const posix::UniqueFd& link, const std::string& what);

/// Splits a clean path: "/a/b" is "/a" and "b".
struct ParentAndName {
    std::string parent, name;
};
ParentAndName split_path(const std::string& clean);

}  // namespace locald::shim
