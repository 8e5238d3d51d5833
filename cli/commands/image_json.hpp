#pragma once

#include <nlohmann/json.hpp>

#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// As `image ls --json` and `image pull --json` show an image.
inline nlohmann::ordered_json to_json(const runtime::ImageSummary& image) {
    return {{"name", image.name},         {"id", image.id},           {"digest", image.manifest_digest},
            {"platform", image.platform}, {"created", image.created}, {"size", image.size}};
}

}  // namespace locald::cli
