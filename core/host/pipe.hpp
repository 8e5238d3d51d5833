#pragma once

#include <array>

namespace locald::host {

/// Two handles of the caller's, closed on exec: what is written into the second comes out of the first.
std::array<int, 2> make_pipe();
/// Two handles that are each other's other end.
std::array<int, 2> make_socket_pair();
/// Calls on it return at once from now on, with EAGAIN where they would wait.
void set_non_blocking(int handle);

}  // namespace locald::host
