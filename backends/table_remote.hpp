#pragma once

#include <string>

#include "core/runtime/backend_entry.hpp"

namespace locald::runtime {

/// The row for a host that is named; none where the build has no client for it (LOCALD_BACKEND_SSH=OFF).
const BackendEntry* find_remote_backend();

/// The body of the hidden verb `host-holder HOST`. @throws Error where the build has no client
int hold_host(const std::string& host);

/// The body of the hidden verb `port-holder ADDRESS`. @throws Error where the build has no client
int hold_ports_of(const std::string& address);

/// The key that a host shows, as `TYPE SHA256:…`, which nobody has checked.
/// @param address  `ssh://…`. @throws Error, also where the build has no client
std::string ask_host_key(const std::string& address);

}  // namespace locald::runtime
