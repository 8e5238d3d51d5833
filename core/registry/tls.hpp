#pragma once

#include <Poco/Net/StreamSocket.h>

#include <string>

#include "core/registry/url.hpp"

namespace locald::registry {

/// TLS 1.2 or newer over a connected socket, bounded by its receive timeout. The certificate must chain to the system's
/// authorities or those of `ca_file` and name the origin's host, on loopback as everywhere.
/// @throws NoTls when the peer speaks something else; Error(denied) with OpenSSL's reason for a certificate that is not
/// trusted; Error(not_found, invalid) for a `ca_file` that cannot be read
Poco::Net::StreamSocket start_tls(const Poco::Net::StreamSocket& socket, const Origin& origin,
                                  const std::string& ca_file);

}  // namespace locald::registry
