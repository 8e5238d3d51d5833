#pragma once

// One thin function per system call, of the same name: O_CLOEXEC inside, handle before path, throws Error with
// os_errno().

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/posix/unique_fd.hpp"

namespace locald::posix {

/// open(2) with O_CLOEXEC. `path` is relative to the working directory.
UniqueFd open(const std::string& path, int flags, mode_t mode = 0);
/// Like open, but returns an empty handle when there is no such file or directory (ENOENT, ENOTDIR).
UniqueFd open_if_exists(const std::string& path, int flags);
/// openat(2) with O_CLOEXEC.
UniqueFd openat(const UniqueFd& dir, const std::string& path, int flags, mode_t mode = 0);

/// openat2(2) with O_CLOEXEC and the given RESOLVE_ flags; EINTR is retried, EAGAIN (a rename raced the walk) at most
/// 64 times.
UniqueFd openat2(const UniqueFd& dir, const std::string& path, std::uint64_t flags, std::uint64_t resolve,
                 mode_t mode = 0);
/// Opens `path` as seen from inside `root`: "..", absolute links and magic links cannot leave it.
/// @throws Error with os_errno()      @see openat2(2), RESOLVE_IN_ROOT
UniqueFd open_in_root(const UniqueFd& root, const std::string& path, std::uint64_t flags, mode_t mode = 0);

/// pidfd_open(2).
UniqueFd pidfd_open(pid_t pid);
/// pidfd_send_signal(2); returns false when the process is gone (ESRCH).
bool pidfd_send_signal(const UniqueFd& pidfd, int signal);

/// clone3(2). Returns 0 in the child, the pid in the parent.
pid_t clone3(clone_args& args);

/// close_range(2) with CLOSE_RANGE_CLOEXEC from `first` up: nothing but what is listed survives exec.
void cloexec_from(unsigned first);

/// An empty pipe, both ends O_CLOEXEC.
struct Pipe {
    UniqueFd read;
    UniqueFd write;
};
Pipe make_pipe();

/// A connected AF_UNIX SOCK_SEQPACKET pair, both ends O_CLOEXEC.
struct SocketPair {
    UniqueFd first;
    UniqueFd second;
};
SocketPair make_socket_pair();

/// Sends `payload` (at least one byte) with the descriptor `fd` (SCM_RIGHTS) over an AF_UNIX socket.
void send_fd(const UniqueFd& socket, std::string_view payload, const UniqueFd& fd);
/// Receives one descriptor; the payload is dropped. @throws Error(unavailable) when the peer closed without sending
/// one.
UniqueFd receive_fd(const UniqueFd& socket);

/// memfd_create(2), sealable, O_CLOEXEC.
UniqueFd memfd_create(const char* name);

/// fstat(2).
struct stat fstat(const UniqueFd& fd, std::string_view what);

}  // namespace locald::posix
