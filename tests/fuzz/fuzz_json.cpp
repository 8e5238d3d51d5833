// The reader of JSON beside nlohmann's: both take a text or both refuse it, but for what that one is known to see
// differently, and what ours writes again means the same.

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace {

void need(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto theirs = nlohmann::json::parse(text, nullptr, false);
    try {
        const locald::json::Document document(text);
        // Numbers that no double can hold are refused there.
        const bool may_differ = text.find_first_of("eE") != std::string_view::npos || size > 300;
        need(may_differ || !theirs.is_discarded());
        std::string again;
        locald::json::append_compact(again, document.root());
        need(theirs.is_discarded() || nlohmann::json::parse(again, nullptr, false) == theirs);
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid);
        // There a NUL byte ends the text, and nesting has no bound.
        const bool deep = std::string_view(e.what()).find("nested deeper") != std::string_view::npos;
        need(deep || text.find('\0') != std::string_view::npos || theirs.is_discarded());
    }
    return 0;
}
