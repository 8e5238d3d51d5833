#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// The container's root filesystem belongs to whoever made the image: every name below it is resolved inside it by the
// kernel, once, and acted on by descriptor.

/// `path` as an absolute path without ".", ".." and doubled slashes, by text alone: "a/../../b" is "/b".
std::string clean_path(std::string_view path);

/// Opens `path` (O_PATH) below `root`; empty when it does not exist.
posix::UniqueFd find_in_root(const posix::UniqueFd& root, const std::string& path);

/// Opens the directory `path` (O_PATH) below `root` and makes what is missing of it with mode 0755, one component after
/// the other. The target of a link that leads nowhere is made as well, inside `root`, as runc does it.
posix::UniqueFd make_directory_in_root(const posix::UniqueFd& root, const std::string& path);

/// Opens `path` (O_PATH) below `root` as a mount target; when missing it is made as a directory or an empty file.
posix::UniqueFd make_target_in_root(const posix::UniqueFd& root, const std::string& path, bool directory);

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
