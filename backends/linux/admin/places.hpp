#pragma once

#include <optional>

#include "backends/linux/admin/work.hpp"
#include "backends/linux/shim_policy.hpp"

namespace locald::backends::admin {

/// The cgroups that users' subtrees stand in, with every controller that can be had for them.
/// Only setup enables controllers: the shim takes what is there.
/// @param limits  what users' subtrees from before get of a controller that comes now; nothing: they keep what they
/// have
void see_to_cgroups(const Work& work, const std::optional<SharedLimits>& limits);
/// A small tmpfs for the states of containers, so that a user who fills it fills nothing else.
void see_to_states(const Work& work);
void remove_cgroups(const Work& work);
/// Marks what stands on version 1 before anything is installed: `remove` leaves it to whoever made it.
void mark_others_cgroups();
/// What users have from before whom the group of the installed shim leaves out: their cgroups, while empty, go.
void see_to_former_users(const Work& work, const std::string& group);
void remove_states(const Work& work);

/// True when systemd is the init of this host: it owns the cgroups then, and what is to last are its units.
bool has_systemd();
void see_to_units(const Work& work);
void remove_units(const Work& work);

/// True when a container has a state in /run/locald.
bool has_states();

/// What the tmpfs on /run/locald is mounted with beside nosuid, nodev and noexec.
constexpr const char* states_options = "mode=0755,size=64m,nr_inodes=65536";

}  // namespace locald::backends::admin
