#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "core/runtime/container_runtime.hpp"

namespace locald::runtime {

/// One row of a platform's table of backends.
struct BackendEntry {
    std::string_view name;
    std::unique_ptr<ContainerRuntime> (*make)(const RuntimeChoice& choice);
};

/// What a platform has: its rows (the first is the default) and its name in error texts.
struct BackendTable {
    std::string_view platform;
    std::span<const BackendEntry> entries;
    /// Why there is no row, and the way out; used when `entries` is empty.
    std::string_view missing;
    std::string_view way_out;
    /// The row for a host that is named (`--host`); none where the build has no client for it.
    const BackendEntry* remote = nullptr;
};

/// Picks the row of `choice`. @throws Error(unsupported_platform) that names the platform, what is missing and the way
/// out
std::unique_ptr<ContainerRuntime> choose_backend(const BackendTable& table, const RuntimeChoice& choice);

}  // namespace locald::runtime
