#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace locald {

/// RFC 4648 base64, padding needed. Nothing when it is malformed.
std::optional<std::string> base64_decode(std::string_view text);
std::string base64_encode(std::string_view bytes);

}  // namespace locald
