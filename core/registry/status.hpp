#pragma once

#include <string>
#include <string_view>

#include "core/base/progress.hpp"
#include "core/registry/transport.hpp"

namespace locald::registry {

/// 408, 429, 500, 502, 503, 504: the same request may succeed later.
bool is_transient_status(int status) noexcept;

/// 301, 302, 303, 307, 308.
bool is_redirect(int status) noexcept;

/// What the server says about its refusal (distribution-spec, "Error Codes"), one line of at most 200 characters
/// without control characters; empty when it says nothing readable. Reads the body.
std::string error_words(Response& response, const CancelToken& cancel);

/// Throws Transient for an answer of is_transient_status, with its Retry-After. `what` is what was asked for.
[[noreturn]] void throw_transient(Response& response, std::string_view what, const CancelToken& cancel);

}  // namespace locald::registry
