#pragma once

#include <deque>
#include <optional>

#include "core/runtime/detached.hpp"

namespace locald::backends {

/// How far somebody is in the output of a container: what was written to his handles, and what the other side says of
/// where that is in the output. Whatever connection comes next goes on from place().
class OutputTrack {
public:
    /// The other side is at `place`, and so much was written of what it sent.
    void mark(const runtime::OutputPlace& place, std::uint64_t out, std::uint64_t err);
    /// The connection is gone, after so many bytes were written of it. @return where to go on; nothing: where it began
    std::optional<runtime::OutputPlace> end(std::uint64_t out, std::uint64_t err);

private:
    std::optional<runtime::OutputPlace> begin_;  ///< of this connection
    std::deque<runtime::OutputPlace> marks_;
};

}  // namespace locald::backends
