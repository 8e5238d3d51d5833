#pragma once

#include <sys/types.h>

#include <string>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/options/options.hpp"

namespace locald::shim {

// sd_notify(3) from within a container. The container gets a socket of its own, in a directory that is bound at
// /run/notify; who reads it tells the host's NOTIFY_SOCKET one thing: that the container is ready, and its first
// process's id. Nothing else that a container says reaches the host's service manager.

/// NOTIFY_SOCKET of our environment; empty when there is none.
std::string notify_host();

/// Takes the container's word to the host.
class NotifyRelay {
public:
    NotifyRelay() = default;
    /// Makes the socket, if prepare_notify() made its directory.
    NotifyRelay(const posix::UniqueFd& state_dir, std::string host);

    /// To wait on for input; -1 when there is nothing to wait for.
    int fd() const noexcept { return socket_ ? socket_.get() : -1; }
    /// Reads what the container said. At READY=1 tells the host, and fd() is -1 from then on. Failing is a warning.
    void serve(pid_t first);
    /// Serves until the container is ready, its first process has ended, or `stop` (-1: none) can be read; comes back
    /// when the host has taken notice, at most half a minute later: a message whose sender has ended is nobody's.
    void wait(pid_t first, const posix::UniqueFd& process, int stop);

private:
    void tell(pid_t first);
    void settle() const;
    std::string host_;
    posix::UniqueFd socket_, to_host_;
};

/// The directory for the socket in the state directory, and the configuration's mount and environment for it.
/// @param can_mount  the container has a mount namespace of its own; without one nothing is made
/// @return the relay, where the program runs before this process ends
NotifyRelay prepare_notify(oci::Spec& spec, const posix::UniqueFd& state_dir, const Options& options, bool can_mount);

}  // namespace locald::shim
