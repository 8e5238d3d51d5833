#pragma once

#include <optional>
#include <string>

#include "core/bundle/config_builder.hpp"
#include "core/posix/idmap.hpp"

namespace locald::backends {

/// Reads what this host gives to a container.
/// @param maps  the user namespace's maps; nothing for root
bundle::HostFacts read_host_facts(const std::string& id, const std::optional<posix::IdMaps>& maps,
                                  const std::string& shim);

/// The cgroup path for a container of this user: `/locald/user-<uid>/<id>/c`; empty when this user can make none.
std::string cgroups_path_for(const std::string& id);

/// True when /sys/fs/cgroup is a cgroup v2 tree and nothing else.
bool is_pure_cgroup_v2();

}  // namespace locald::backends
