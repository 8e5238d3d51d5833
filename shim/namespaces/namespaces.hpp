#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// A namespace that exists already and is joined.
struct JoinedNamespace {
    std::uint64_t flag = 0;  ///< CLONE_NEW…
    std::string type, path;
    posix::UniqueFd fd;
    bool entered = false;  ///< by this process or by the one it was made from
};

/// linux.namespaces, sorted by who makes or joins them when.
struct NamespacePlan {
    std::uint64_t fresh = 0;              ///< CLONE_NEW… of all new ones
    std::vector<JoinedNamespace> joined;  ///< in the order of the configuration
    posix::UniqueFd network;  ///< a fresh one that was made already, with its loopback up; the child enters it
    std::map<std::string, oci::TimeOffset> time_offsets;

    bool is_new(std::uint64_t flag) const noexcept { return (fresh & flag) != 0; }
    bool has(std::uint64_t flag) const noexcept;
    const JoinedNamespace* find_joined(std::uint64_t flag) const noexcept;
    /// What clone3 makes. The cgroup namespace comes later, because its root is the cgroup the process is in when it
    /// is made; the time namespace too, because its offsets must be written before anybody is in it. With a user
    /// namespace the ipc namespace as well: /dev/mqueue belongs to whoever makes it, and that shall be root in there.
    std::uint64_t clone_flags() const noexcept;
};

/// The CLONE_NEW flag of a type's name; 0 when there is none.
std::uint64_t namespace_flag(const std::string& type);
/// Every type's name, for `features`.
std::vector<std::string> known_namespaces();

/// Opens the paths and checks that each is a namespace of the type it is named for.
NamespacePlan plan_namespaces(const oci::Linux& config);

/// setns(2); the error names the path.
void join_namespace(const JoinedNamespace& joined);

/// Joins all but a mount namespace in the order that works whoever owns them: what our own rights reach, then the user
/// namespace, then what its rights reach.
void join_around_user_namespace(NamespacePlan& plan);

/// Joins what is not entered yet, but no pid namespace (that is for children) and no mount namespace.
void join_remaining(NamespacePlan& plan);

/// The lines of /proc/PID/uid_map, in their order.
std::vector<oci::IdMapping> parse_id_map(const std::string& text);

/// The id maps of a user namespace, as this process's own sees them.
struct UserNamespaceMaps {
    std::vector<oci::IdMapping> uids, gids;
};
UserNamespaceMaps read_id_maps(const JoinedNamespace& user);

/// A user namespace that is joined must have the maps of the configuration, where it has any.
void check_id_maps(const NamespacePlan& plan, const oci::Linux& config);

/// Makes a time namespace with these offsets and enters it.
void enter_new_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets);

/// Joins as join_around_user_namespace() does, and makes the time namespace of the process that is made next. In a user
/// namespace that is joined we must not be traced, and an untraceable process has files in /proc that only root of the
/// host may open: what it needs of them is opened before.
void enter_joined_user_namespace(NamespacePlan& plan);

/// Becomes root of the user namespace this thread is in, when it maps an id to 0; else stays who it is.
void become_namespace_root();

}  // namespace locald::shim
