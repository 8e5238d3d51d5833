#pragma once

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/image/unpack.hpp"

namespace locald::image {

/// The descriptors that the worker inherits beside stderr. The plan is one JSON object.
namespace worker_handle {
inline constexpr int plan = 0;
inline constexpr int report = 3;
inline constexpr int user_namespace = 4;
inline constexpr int first_lock = 10;
}  // namespace worker_handle

/// Runs the worker to its end: `verb` with `plan`, inside context's user namespace when it has maps.
/// @param locks     descriptors that the worker keeps open, so that a lock outlives a killed caller as long as the
///                  worker works
/// @param on_event  gets each JSON line of the worker but errors
/// @throws the worker's Error; Error(cancelled), the worker is killed then
void run_worker(UnpackContext& context, const std::string& verb, nlohmann::json plan, const std::vector<int>& locks,
                const std::function<void(const nlohmann::json&)>& on_event, const CancelToken& cancel);

}  // namespace locald::image
