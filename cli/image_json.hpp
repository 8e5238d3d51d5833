#pragma once

#include <string>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::cli {

/// As `image pull --json` shows an image: one object on one line.
std::string image_json(const runtime::ImageSummary& image);

/// As `image ls --json` shows them: an indented array.
std::string images_json(const std::vector<runtime::ImageSummary>& images);

}  // namespace locald::cli
