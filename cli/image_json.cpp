#include "cli/image_json.hpp"

#include <nlohmann/json.hpp>

namespace locald::cli {

namespace {

nlohmann::ordered_json to_json(const runtime::ImageSummary& image) {
    return {{"name", image.name},         {"id", image.id},           {"digest", image.manifest_digest},
            {"platform", image.platform}, {"created", image.created}, {"size", image.size}};
}

}  // namespace

std::string image_json(const runtime::ImageSummary& image) { return to_json(image).dump() + "\n"; }

std::string images_json(const std::vector<runtime::ImageSummary>& images) {
    auto array = nlohmann::ordered_json::array();
    for (const auto& image : images) array.push_back(to_json(image));
    return array.dump(2) + "\n";
}

}  // namespace locald::cli
