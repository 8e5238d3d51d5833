#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// Where a keeper finds the link to its starter.
inline constexpr int keeper_link = 3;

/// Starts a keeper, which goes on by itself. What comes back speaks to it for as long as it is kept.
/// @param choice  with the directories filled in
std::unique_ptr<runtime::ContainerRuntime> start_keeper(const std::string& program,
                                                        const runtime::RuntimeChoice& choice);
/// Speaks to the keeper that listens at `socket`. @throws Error(unavailable) when there is none, at the first call
std::unique_ptr<runtime::ContainerRuntime> reach_keeper(const std::string& socket);

/// The words of the hidden verb, and back.
std::vector<std::string> keeper_words(const runtime::RuntimeChoice& choice);
runtime::RuntimeChoice parse_keeper_words(const std::vector<std::string>& words);

}  // namespace locald::backends
