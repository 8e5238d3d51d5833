#pragma once

#include <string>
#include <vector>

#include "backends/ssh/session.hpp"

namespace locald::backends {

/// Files in the form of known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"), hashed names too.
class KnownHosts {
public:
    /// @param files  those that are not there are skipped
    /// @param host  the name as known_hosts has it: HostKeyAlias or host, not the address
    KnownHosts(std::vector<std::string> files, std::string host, unsigned port);
    /// The key types that are known of it, so that the server is asked for one of them.
    std::vector<std::string> types() const;
    /// @throws Error(denied) for an unknown key, with its fingerprint and how to make it known; for another one than
    /// the known, with both
    void check(const HostKey& key) const;

private:
    std::vector<std::string> files_;
    std::string host_;
    unsigned port_;
};

/// @param pinned  `[TYPE ]SHA256:…`, which alone counts. @throws Error(denied) with both when it is another one
void check_pinned(const HostKey& key, const std::string& pinned);

}  // namespace locald::backends
