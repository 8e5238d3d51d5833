#pragma once

#include <span>
#include <string>
#include <vector>

namespace locald::backends {

/// `libssh2 1.10.0`, the one that is loaded.
std::string ssh_library();
/// Whether it has what came with 1.11: RSA with SHA-2, MACs of the ETM kind, AES-GCM.
bool ssh_library_has_sha2_rsa() noexcept;

/// A kind of key that servers show, by its name on the wire and by libssh2's numbers for it.
struct HostKeyKind {
    const char* name;
    int number;           ///< LIBSSH2_HOSTKEY_TYPE_
    int known_hosts_bit;  ///< LIBSSH2_KNOWNHOST_KEY_
};
/// Best first: the order in which a server is asked when several are known.
std::span<const HostKeyKind> host_key_kinds() noexcept;

/// The key types to ask a server for: `known` first, as ssh does it, then all others, so that a server with another key
/// than the known is told by its key.
std::string host_key_wish(const std::vector<std::string>& known);

/// Whether a file is a private key of RSA, as OpenSSH or OpenSSL write it.
bool is_rsa_key(const std::string& path);

}  // namespace locald::backends
