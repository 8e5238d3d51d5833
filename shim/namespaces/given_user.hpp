#pragma once

#include "core/oci/runtime_spec.hpp"
#include "shim/namespaces/namespaces.hpp"

namespace locald::shim {

/// By a setuid shim: its starts map what root granted by then, and take no other maps.
bool gives_maps() noexcept;

/// A descriptor of the user namespace that the setuid prologue made; empty where it made none.
posix::UniqueFd given_user_namespace();

/// Where the setuid prologue has made the caller's user namespace, every container is in it, or in another that its
/// configuration names by path: makes the configuration say so. Elsewhere nothing changes.
/// @throws Error(invalid) that names the field when the configuration has other id maps
void adopt_given_user_namespace(oci::Linux& config);

/// Of a plan that makes a new user namespace: joins the given one instead, where there is one.
void join_given_user_namespace(NamespacePlan& plan);

}  // namespace locald::shim
