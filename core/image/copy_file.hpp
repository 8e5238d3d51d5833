#pragma once

#include <sys/stat.h>

#include <string>

#include "core/posix/unique_fd.hpp"

namespace locald::image {

/// Gives the empty file `to` the content of `from`: shared blocks where the file system can (FICLONE), else a copy that
/// keeps holes.
/// @throws Error that names `shown`
void copy_content(const posix::UniqueFd& from, const posix::UniqueFd& to, const struct stat& st,
                  const std::string& shown);

}  // namespace locald::image
