#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// The conversation between the shim (parent) and the container's first process (child), one SOCK_SEQPACKET packet a
// message. Messages in brackets are sent only when the configuration needs them. A closed socket is an error at every
// point but one: once the child has set the shared flag `executing`, where execve itself closes its end.
//
//   parent                                     child
//   clone3              ─────────────────────▶ parent-death signal
//   [user namespace: writes the maps
//    mapped]            ─────────────────────▶ becomes root of the user namespace
//                       ◀───────────────────── [root]: a mount in a namespace that is shared, not yet attached
//   writes it into the state
//   [recorded]          ─────────────────────▶ attaches it
//   moves it into its cgroups                  opens bind sources, mounts
//   [attached]          ─────────────────────▶ makes the cgroup namespace, mounts cgroups
//                       ◀───────────────────── [mounted]
//   prestart and createRuntime hooks
//   [hooked]            ─────────────────────▶ createContainer hooks, pivot_root, terminal
//   writes the pid into the state
//   execute + filter    ─────────────────────▶ startContainer hooks, ids, capabilities, seccomp
//                                              (sets `executing`)
//   end of file         ◀───────────────────── execve closes the socket
//   poststart hooks
//
// `create` ends otherwise, and `start` goes on over a connection of its own (start_socket.hpp):
//
//   park + filter       ─────────────────────▶ looks for the program, lets go of its parent
//                       ◀───────────────────── parked
//   start: execute      ─────────────────────▶ startContainer hooks, …
//   end of file         ◀───────────────────── execve closes the socket
//
// At any point the child may send `warning` + text, or `failed` + the error and end.
enum class Sync : std::uint32_t {
    mapped = 1,
    attached,
    mounted,
    hooked,
    execute,
    park,
    parked,
    warning,
    failed,
    root,
    recorded
};

struct Message {
    Sync kind = Sync::failed;
    std::string payload;
};

void send(const posix::UniqueFd& socket, Sync kind, std::string_view payload = {});
/// Sends an error with all of its parts.
void send_error(const posix::UniqueFd& socket, const Error& error);
/// The same for whoever is about to end: a reader that is gone is no error then.
void send_last_error(const posix::UniqueFd& socket, const Error& error);
/// The Error that a `failed` message carries.
Error error_of(const Message& message);

/// The next message. @return false at end of file. @throws Error on a malformed packet
bool receive(const posix::UniqueFd& socket, Message& message);
/// Waits for `want`; the peer's own error is thrown, a closed socket and any other message are errors too.
std::string wait_for(const posix::UniqueFd& socket, Sync want);
/// Throws Error(lost) when the peer's end is closed.
void check_peer(const posix::UniqueFd& socket);

}  // namespace locald::shim
