#pragma once

#include <Poco/Net/IPAddress.h>

#include <string>
#include <vector>

#include "core/registry/url.hpp"

namespace locald::registry {

/// All addresses of a host; `localhost` is 127.0.0.1 and ::1 without asking anybody (RFC 6761).
/// @throws Error(unavailable) that names a host nobody knows
std::vector<Poco::Net::IPAddress> resolve_host(const std::string& host);

/// True for an address that means this machine, IPv4-mapped and unspecified ones included.
bool is_loopback_address(const Poco::Net::IPAddress& address);

/// @throws Error(denied) when `address`, which `to` resolved to, is loopback, link-local or a cloud's metadata service:
/// a place that only this machine can reach and that a server must not send us to
void check_not_inwards(const Origin& to, const Poco::Net::IPAddress& address);
/// The same by name alone, for a host that a proxy will resolve.
void check_not_inwards_name(const Origin& to);

}  // namespace locald::registry
