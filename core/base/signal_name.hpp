#pragma once

#include <string>
#include <string_view>

namespace locald {

/// The number of a signal by name with or without `SIG` in any case, by number, or as `SIGRTMIN+3`, `SIGRTMAX-1`: Linux
/// numbers, whatever this host's are, since the container runs on Linux.
/// @throws Error(invalid): `unknown signal "<text>"`
int parse_signal(std::string_view text);

}  // namespace locald
