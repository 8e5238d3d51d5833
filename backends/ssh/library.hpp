#pragma once

#include <string>
#include <vector>

namespace locald::backends {

/// `libssh2 1.10.0`, the one that is loaded.
std::string ssh_library();
/// Whether it has what came with 1.11: RSA with SHA-2, MACs of the ETM kind, AES-GCM.
bool ssh_library_has_sha2_rsa() noexcept;

/// The key types to ask a server for: `known` first, as ssh does it, then all others, so that a server with another key
/// than the known is told by its key. A name that the library lacks is passed over by it.
std::string host_key_wish(const std::vector<std::string>& known);

/// Whether a file is a private key of RSA, as OpenSSH or OpenSSL write it.
bool is_rsa_key(const std::string& path);

}  // namespace locald::backends
