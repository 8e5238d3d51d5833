#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"

namespace locald::shim {

/// The five sets as bit masks (bit n is capability n).
struct CapabilitySets {
    std::uint64_t effective = 0, permitted = 0, inheritable = 0, bounding = 0, ambient = 0;
};

/// Names to masks. A name that is unknown, or that this process cannot grant, becomes a warning, as the spec wants.
CapabilitySets parse_capabilities(const oci::Capabilities& config, std::vector<std::string>& warnings);
/// The number of a CAP_ name; -1 when unknown. Exposed for `features`.
int capability_number(const std::string& name);
std::vector<std::string> known_capabilities();

/// First step, with full rights still: bounding set dropped, KEEPCAPS set so that setresuid does not clear the rest.
void drop_bounding(const CapabilitySets& sets);
/// Last step, after the ids changed: effective, permitted, inheritable and ambient.
void apply_capabilities(const CapabilitySets& sets);

}  // namespace locald::shim
