#pragma once

#include <string>
#include <utility>

#include "core/base/error.hpp"

namespace locald::backends {

/// The end of a link to `host`, for people: a connection that broke is told as it is, and an agent that speaks another
/// language gets a remedy.
inline Error explain_link_end(Error why, const std::string& host) {
    why.add_context(host);
    if (why.kind() == ErrorKind::corrupt) {
        why.with_remedy(
            "what the agent there says makes no sense; `locald host disconnect` ends it, and the next command "
            "starts another; if it stays so, something between the two changes what is sent");
    }
    return why;
}

}  // namespace locald::backends
