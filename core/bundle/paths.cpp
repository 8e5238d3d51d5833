#include "core/base/error.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

bool is_within(std::string_view path, std::string_view parent) noexcept {
    if (parent == "/") return path.starts_with('/');
    return path.starts_with(parent) && (path.size() == parent.size() || path[parent.size()] == '/');
}

void refuse_nul(std::string_view text, std::string_view what) {
    if (text.find('\0') == std::string_view::npos) return;
    throw Error(ErrorKind::invalid, std::string(what) + ": holds a NUL byte");
}

}  // namespace locald::bundle::parts
