#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// What a container has from outside, which a checkpoint names and a restore gives again.
struct CriuExternals {
    struct MountPoint {
        std::string destination;  ///< in the container
        std::string source;       ///< where it is on the host, when it is no bind of the configuration
    };
    std::vector<MountPoint> mounts;
    /// How criu calls what standard input, output and error lead to; empty: something of the container's.
    std::array<std::string, 3> streams;
    /// Namespaces that were joined by path: criu's kind (net, pid) and the inode.
    std::vector<std::pair<std::string, std::string>> namespaces;
};

/// One line of /proc/PID/mountinfo, as far as it matters here.
struct MountLine {
    std::string id, device, root, place, type;
};
std::vector<MountLine> parse_mountinfo(std::string_view text);

/// The mounts that criu cannot make by itself: binds of the configuration with what is below them, and whatever shows
/// a part of a filesystem that the container does not have as a whole.
std::vector<CriuExternals::MountPoint> external_mounts(const oci::Spec& spec, const std::vector<MountLine>& container,
                                                       const std::vector<MountLine>& host);

CriuExternals find_externals(const oci::Spec& spec, pid_t pid);
/// criu's arguments for the checkpoint.
std::vector<std::string> dump_arguments(const CriuExternals& externals);
/// criu's arguments for the restore, and the descriptors that they name.
struct RestoreArguments {
    std::vector<std::string> words;
    std::vector<std::pair<int, int>> descriptors;
    std::vector<posix::UniqueFd> opened;
};
RestoreArguments restore_arguments(const CriuExternals& externals, const oci::Spec& spec, const std::string& bundle);

std::string to_json(const CriuExternals& externals);
CriuExternals parse_externals(const std::string& json);

}  // namespace locald::shim
