#pragma once

#include <string>

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// The shim that lies beside our own program: what is installed.
struct ShimSource {
    std::string path;
    std::string bytes;
    std::string short_digest;  ///< the first 12 digits of its sha256
};
/// @throws Error when it is missing, or of another version than this program
ShimSource read_shim_source(const std::string& given);

/// `<base>/<version>-<digest>/locald-shim`, and the same file again as `<base>/locald-shim`, which is where it is
/// found. Older ones lose their setuid bit and go.
/// @param needs_group  why only a group may execute it, when the host says so; else empty
void see_to_shim(const Work& work, const ShimSource& source, const std::string& needs_group);
void remove_shim(const Work& work);

/// The base and what is missing above it. Its file `.made` says which directories those were: `remove_shim` takes no
/// other empty one away.
void make_base(const Work& work);

/// The group that alone may execute what is installed, whichever of its names is left and with the setuid bit or
/// without; empty: everybody, or there is none. @throws Error when the group has no name any more
std::string group_of_installed(const Work& work);

}  // namespace locald::backends::admin
