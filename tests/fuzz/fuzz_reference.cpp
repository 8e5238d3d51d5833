// What a user may type for IMAGE and --platform: refused with an Error, or read into parts that are safe to use.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/error.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto reference = locald::oci::parse_reference(text);
        need(!reference.registry.empty() && !reference.repository.empty());
        need(!reference.tag.empty() || !reference.digest.empty());
        // The repository goes into a URL and the tag into a path: neither may leave its place.
        need(reference.repository.find("..") == std::string::npos);
        need((reference.repository + reference.tag).find_first_of(" \t\r\n%?#@\\") == std::string::npos);
        need(locald::oci::parse_reference(reference.str()) == reference);
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
    }
    try {
        const auto name = locald::oci::parse_image_name(text);
        need(name.text == text);
        const bool file =
            name.kind == locald::oci::ImageKind::oci_layout || name.kind == locald::oci::ImageKind::docker_archive;
        need(file != name.path.empty());
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
    }
    try {
        const auto platform = locald::oci::parse_platform(text);
        need(locald::oci::parse_platform(platform.str()) == platform);
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
    }
    return 0;
}
