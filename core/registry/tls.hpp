#pragma once

#include <Poco/Net/Context.h>
#include <Poco/Net/StreamSocket.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/registry/url.hpp"

namespace locald::registry {

/// Starts TLS for the connections of one client. The authorities are read once, at the first use. Thread-safe.
class Tls {
public:
    /// @param ca_file  PEM certificates besides the system's; may be empty
    explicit Tls(std::string ca_file);
    ~Tls();
    Tls(const Tls&) = delete;
    Tls& operator=(const Tls&) = delete;

    /// TLS 1.2 or newer over a connected socket, bounded by its receive timeout. The certificate must chain to an
    /// authority and name the origin's host, on loopback as everywhere.
    /// @throws NoTls when the peer speaks something else; Error(denied) with OpenSSL's reason for a certificate that is
    /// not trusted; Error(not_found, invalid) for a `ca_file` that cannot be read
    Poco::Net::StreamSocket start(const Poco::Net::StreamSocket& socket, const Origin& origin);

private:
    struct Authorities;
    Poco::Net::Context::Ptr context_for(const Origin& origin);

    std::string ca_file_;
    std::mutex mutex_;
    std::unique_ptr<Authorities> authorities_;
    std::map<std::string, Poco::Net::Context::Ptr> contexts_;  ///< by host
};

}  // namespace locald::registry
