// Documents that a registry sends: index, manifest and config.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/oci/image_spec.hpp"

namespace {

using namespace locald::oci;

void need(bool holds) {
    if (!holds) std::abort();
}

/// Runs `body`; true when it ended without an Error.
template <class F>
bool accepts(F&& body) {
    try {
        body();
        return true;
    } catch (const locald::Error&) {
        return false;
    }
}

template <class Parse>
void round_trip(std::string_view text, Parse parse) {
    if (!accepts([&] { parse(text); })) return;
    const std::string once = to_json(parse(text));
    need(to_json(parse(once)) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    round_trip(text, parse_index);
    round_trip(text, parse_manifest);
    round_trip(text, parse_image_config);

    // No document is an index for one reader and a manifest for another.
    const bool index = accepts([&] { need(document_kind(text, media_type::index) == DocumentKind::index); });
    const bool manifest = accepts([&] { need(document_kind(text, media_type::manifest) == DocumentKind::manifest); });
    DocumentKind kind{};
    if (accepts([&] { kind = document_kind(text, ""); }) && index != manifest) {
        need((kind == DocumentKind::index) == index);
    }

    if (!accepts([&] { parse_index(text); })) return 0;
    const auto list = parse_index(text);
    for (const char* platform : {"linux/amd64", "linux/arm64/v9.3", "linux/arm/v6", "linux/s390x"}) {
        accepts([&] {
            const auto& chosen = select_platform(list, parse_platform(platform));
            need(&chosen >= list.manifests.data() && &chosen < list.manifests.data() + list.manifests.size());
        });
    }
    return 0;
}
