#pragma once

#include <string>
#include <string_view>

#include "core/oci/runtime_spec.hpp"

namespace locald::oci {

/// runtime.md, "State". `status` is creating, created, running, stopped or (as other runtimes have it) paused.
struct State {
    std::string oci_version, id, status;
    int pid = 0;  ///< on the host; 0 when stopped
    std::string bundle;
    std::string rootfs;   ///< absolute; not in the spec, printed by `state` of other runtimes
    std::string created;  ///< RFC 3339 with nanoseconds, UTC; not in the spec
    std::string owner;    ///< user name or #uid in `list`, else empty; not in the spec
    Annotations annotations;
};

/// @throws Error(invalid) that names the place
State parse_state(std::string_view json);
/// With exactly the spec's members (what hooks read on stdin) on one line.
std::string to_hook_json(const State& state);
/// As `state` prints it: indented, members in the order ociVersion id pid status bundle rootfs created annotations
/// owner.
std::string to_json(const State& state, bool pretty = true);

}  // namespace locald::oci
