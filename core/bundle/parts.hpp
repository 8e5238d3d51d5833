#pragma once

// The steps of build_bundle(), one subject a file. Internal to this folder.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bundle/config_builder.hpp"

namespace locald::bundle::parts {

/// What every step reads and the warnings it may add.
struct Plan {
    const RunOptions& options;
    const oci::ImageConfig* image;  ///< nullptr for a plain root filesystem
    const AccountFiles& accounts;
    const HostFacts& host;
    std::string hostname;
    ResolvedUser user;
    std::map<std::string, std::string> files;
    std::vector<std::string> warnings;

    bool user_namespace() const noexcept { return !host.uid_mappings.empty(); }
};

// paths.cpp

/// True for `parent` itself and for all below it; both clean.
bool is_within(std::string_view path, std::string_view parent) noexcept;
/// @throws Error(invalid) that names `what` when `text` holds a NUL byte, which the kernel would cut it at
void refuse_nul(std::string_view text, std::string_view what);

// user.cpp

/// The user of the process: `-u`, else the image's, else the caller's own ids under keep-id, else 0. Ids that the user
/// namespace does not map are refused; supplementary groups it does not map are left out with a warning.
ResolvedUser choose_user(Plan& plan);
/// True when `id` is one of `mappings`; everything is mapped when there are none.
bool is_mapped(std::uint32_t id, const std::vector<oci::IdMapping>& mappings) noexcept;

// command.cpp

std::vector<std::string> make_args(const Plan& plan);
std::string make_cwd(const Plan& plan);
std::vector<std::string> make_environment(Plan& plan);
/// `--stop-signal`, else the image's, else SIGTERM; a name or a number that parse_signal() takes.
std::string make_stop_signal(Plan& plan);

// default_mounts.cpp, user_mounts.cpp

std::vector<oci::Mount> default_mounts(const Plan& plan);
/// `-v`, `--mount`, `--tmpfs` and the image's volumes, parents before children.
/// @throws Error(invalid) that names the mount
std::vector<oci::Mount> user_mounts(Plan& plan);
/// The default mounts without those that the user's take the place of, then the user's.
std::vector<oci::Mount> all_mounts(Plan& plan);

// host_files.cpp

std::string make_hostname(const RunOptions& options);
/// `hosts`, `hostname`, `resolv.conf`, and `passwd` and `group` where the running user has no entry.
std::map<std::string, std::string> make_files(const Plan& plan);
/// Where a file of make_files() is seen inside.
std::string place_of_file(const std::string& name);

// capabilities.cpp

/// The bounding set after `--cap-add` and `--cap-drop`, in the order of their numbers.
std::vector<std::string> bounding_set(const RunOptions& options);

// resources.cpp

std::vector<oci::Rlimit> make_rlimits(const RunOptions& options);
oci::Resources make_resources(const RunOptions& options);

// annotations.cpp

oci::Annotations make_annotations(const Plan& plan, const std::string& stop_signal);

}  // namespace locald::bundle::parts
