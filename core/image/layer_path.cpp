#include "core/image/layer_path.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::image {

std::vector<std::string> layer_components(std::string_view name) {
    constexpr std::size_t longest_component = 255;
    std::vector<std::string> components;
    for (const auto part : split(name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            if (components.empty()) {
                throw Error(ErrorKind::corrupt, "entry " + std::string(name) + ": the name climbs above the root");
            }
            components.pop_back();
            continue;
        }
        if (part.size() > longest_component) {
            throw Error(ErrorKind::corrupt, "entry " + std::string(name.substr(0, 64)) +
                                                "…: a component of more than " + std::to_string(longest_component) +
                                                " bytes");
        }
        components.emplace_back(part);
    }
    return components;
}

std::string join_components(const std::vector<std::string>& components) {
    std::string path;
    for (const auto& component : components) {
        if (!path.empty()) path += '/';
        path += component;
    }
    return path;
}

std::string join_path(const std::string& parent, std::string_view name) {
    if (parent.empty()) return std::string(name);
    std::string path = parent;
    path += '/';
    path += name;
    return path;
}

}  // namespace locald::image
