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

/// What of these capabilities this process could hand on: its permitted set within its bounding set, which the kernel
/// tells of one at a time.
std::uint64_t grantable_capabilities(std::uint64_t of);
inline constexpr std::uint64_t all_capabilities = ~std::uint64_t{0};

/// Names to masks. A name that is unknown, or that is not in `grantable`, becomes a warning, as the spec wants; so does
/// a bit that the kernel would refuse because its set must lie within another one.
CapabilitySets parse_capabilities(const oci::Capabilities& config, std::vector<std::string>& warnings,
                                  std::uint64_t grantable);
/// The same with what this process could hand on.
CapabilitySets parse_capabilities(const oci::Capabilities& config, std::vector<std::string>& warnings);
/// The number of a CAP_ name; -1 when unknown. Exposed for `features`.
int capability_number(const std::string& name);
std::vector<std::string> known_capabilities();

/// First step, with full rights still: bounding set dropped, KEEPCAPS set so that setresuid does not clear the rest.
void drop_bounding(const CapabilitySets& sets);
/// Last step, after the ids changed: effective, permitted, inheritable and ambient, read back afterwards.
void apply_capabilities(const CapabilitySets& sets);

}  // namespace locald::shim
