// What a registry may put into WWW-Authenticate and Location: read without a crash, and never into something that could
// forge a line of our next request or name a host that the text does not show.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/registry/url.hpp"
#include "core/registry/www_authenticate.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

bool has_control(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\t') || byte == 0x7f) return true;
    }
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace locald::registry;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const Challenge& challenge : parse_www_authenticate(text)) {
        need(!challenge.scheme.empty() && challenge.scheme == to_lower(challenge.scheme));
        need(challenge.token.empty() || challenge.parameters.empty());
        for (const auto& [name, value] : challenge.parameters) {
            need(!name.empty() && name == to_lower(name) && !has_control(value));
        }
    }
    try {
        const Url base = parse_url("https://registry.example:5000/v2/a/blobs/b?c", "base");
        const Url to = resolve_location(base, text);
        need(to.origin.secure() && to.origin.port != 0 && to.target.starts_with('/'));
        need(to.origin.host.find_first_of("@/?#\\ ") == std::string::npos && !has_control(to.target));
        need(parse_url(to.str(), "again") == to);
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid || e.kind() == locald::ErrorKind::denied);
    }
    return 0;
}
