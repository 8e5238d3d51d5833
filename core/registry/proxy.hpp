#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/registry/url.hpp"

namespace locald::registry {

/// An HTTP proxy. TLS to the proxy itself is not spoken.
struct Proxy {
    Origin origin;
    std::string authorization;  ///< value of Proxy-Authorization; empty when the URL names no user
};

/// The environment's proxy settings, lower-case names first, as curl reads them (HTTP_PROXY in capitals as well: no CGI
/// program runs this).
struct ProxySettings {
    std::string https, http, except;
    static ProxySettings of_this_process();
};

/// The proxy for `to`; none for loopback and for what `except` names: suffixes with or without a leading dot, CIDR
/// blocks, `host:port`, `*`.
/// @throws Error(invalid) for a malformed proxy URL, Error(unsupported) for a scheme other than http
std::optional<Proxy> proxy_for(const Origin& to, const ProxySettings& settings);

}  // namespace locald::registry
