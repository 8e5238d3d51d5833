#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/bundle/bundle.hpp"
#include "core/bundle/options.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::bundle {

/// Reads the account files of a root filesystem that may be spread over layers; the texts of /etc/passwd and
/// /etc/group, empty when they are missing.
struct AccountFiles {
    std::string passwd, group;
};

/// `User` resolved: image-spec conversion.md, "Parsed Fields".
struct ResolvedUser {
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::uint32_t> additional_gids;
    std::string home;  ///< from passwd, `/` when the user is unknown
};
/// user, uid, user:group, uid:gid, uid:group, user:gid. Numbers up to 2^31-1 stand for themselves, names must resolve.
/// @throws Error(invalid), Error(not_found) that name the user and the file
ResolvedUser resolve_user(const std::string& user, const AccountFiles& accounts);

/// What the host gives to a container, read once by the backend that runs it.
struct HostFacts {
    std::vector<oci::IdMapping> uid_mappings, gid_mappings;  ///< empty: no user namespace (root)
    bool full_map = true;   ///< false: only one id is mapped; no supplementary groups, no gid=5 for devpts
    std::string more_ids;   ///< how the caller gets a full map, when it is not one
    bool cgroup_v2 = true;  ///< pure v2: a cgroup namespace and a cgroup2 mount make sense
    bool cgroup_namespace = true;
    std::string cgroups_path;               ///< for linux.cgroupsPath; empty: none can be made
    std::string resolv_conf, hosts;         ///< texts of the host's files that apply
    std::string hostname;                   ///< the host's own name
    std::string user_name;                  ///< the caller's, for his line in /etc/passwd under keep-id; may be empty
    std::string init_program;               ///< absolute path of the program behind `--init`
    std::vector<std::string> masked_globs;  ///< thermal_throttle directories and the like that exist here
};

/// Builds config.json and the files beside it from the image's config and the user's options, after images
/// conversion.md and docker's habits. Pure: no I/O. The root is `rootfs` beside config.json; how it is filled is the
/// caller's.
/// @param image     the config, or nothing for a plain root filesystem
Bundle build_bundle(const RunOptions& options, const std::optional<oci::ImageConfig>& image,
                    const AccountFiles& accounts, const HostFacts& host);

/// The 14 capabilities that docker gives.
const std::vector<std::string>& default_capabilities();

}  // namespace locald::bundle
