#pragma once

#include <string>
#include <string_view>

namespace locald::backends {

/// `SHA256:…` of a public key as it goes over the wire, as OpenSSH prints it.
std::string fingerprint_of(std::string_view blob);
/// The same of a key in base64, as known_hosts has it.
std::string fingerprint_of_base64(std::string_view key);

}  // namespace locald::backends
