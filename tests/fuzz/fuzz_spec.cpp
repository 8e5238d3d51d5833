// config.json, a process and a state from anywhere: refused with an Error or read; what was read can be written, and
// what was written reads as the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/oci/runtime_spec.hpp"
#include "core/oci/state.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

template <class Parse>
void round_trip(std::string_view text, Parse parse) {
    try {
        const auto value = parse(text);
        const std::string once = locald::oci::to_json(value, false);
        need(locald::oci::to_json(parse(once), false) == once);
        need(locald::oci::to_json(parse(locald::oci::to_json(value, true)), false) == once);
    } catch (const locald::Error& e) {
        // Only the first parse may refuse: everything that was accepted must be accepted again.
        need(e.kind() == locald::ErrorKind::invalid);
        bool accepted = true;
        try {
            parse(text);
        } catch (const locald::Error&) {
            accepted = false;
        }
        need(!accepted);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    round_trip(text, locald::oci::parse_spec);
    round_trip(text, locald::oci::parse_process);
    round_trip(text, locald::oci::parse_state);
    return 0;
}
