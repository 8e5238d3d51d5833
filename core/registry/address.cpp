#include "core/registry/address.hpp"

#include <Poco/Net/DNS.h>
#include <Poco/Net/HostEntry.h>
#include <Poco/Net/NetException.h>

#include <array>
#include <string_view>

#include "core/base/error.hpp"

namespace locald::registry {
namespace {

using Poco::Net::IPAddress;

/// An IPv4-mapped or IPv4-compatible IPv6 address as the IPv4 address it stands for.
IPAddress unmapped(const IPAddress& address) {
    if (address.family() != IPAddress::IPv6 || (!address.isIPv4Mapped() && !address.isIPv4Compatible())) return address;
    const auto* bytes = static_cast<const unsigned char*>(address.addr());
    if (address.isLoopback() || address.isWildcard()) return address;  // ::1 and :: look compatible
    return IPAddress(bytes + 12, 4);
}

[[noreturn]] void refuse(const Origin& to, const std::string& address) {
    throw Error(ErrorKind::denied, "connect to " + to.str() + ", which a server named: refused, " + address +
                                       " is reachable from this machine alone");
}

}  // namespace

std::vector<IPAddress> resolve_host(const std::string& host) {
    if (IPAddress literal; IPAddress::tryParse(host, literal)) return {literal};
    if (host == "localhost") return {IPAddress("127.0.0.1"), IPAddress("::1")};
    std::vector<IPAddress> out;
    std::string words = "unknown host";
    try {
        const auto entry = Poco::Net::DNS::hostByName(host);
        for (const IPAddress& address : entry.addresses()) {
            bool known = false;
            for (const IPAddress& other : out) known = known || other == address;
            if (!known) out.push_back(address);
        }
    } catch (const Poco::Net::HostNotFoundException&) {
        // said below
    } catch (const Poco::Net::NoAddressFoundException&) {
        words = "the host has no address";
    } catch (const Poco::Exception& e) {
        words = "name lookup failed: " + e.displayText();
    }
    if (out.empty()) {
        throw Error(ErrorKind::unavailable, host + ": " + words)
            .with_remedy(
                "check the registry's name and the network's name server, and whether a proxy is needed "
                "(https_proxy)");
    }
    return out;
}

bool is_loopback_address(const IPAddress& address) {
    const IPAddress plain = unmapped(address);
    return plain.isLoopback() || plain.isWildcard();
}

void check_not_inwards(const Origin& to, const IPAddress& address) {
    // metadata services outside the link-local range: Alibaba Cloud, AWS over IPv6
    static const std::array<IPAddress, 2> metadata{IPAddress("100.100.100.200"), IPAddress("fd00:ec2::254")};
    const IPAddress plain = unmapped(address);
    bool inwards = is_loopback_address(plain) || plain.isLinkLocal();
    for (const IPAddress& service : metadata) inwards = inwards || plain == service;
    if (inwards) refuse(to, address.toString());
}

void check_not_inwards_name(const Origin& to) {
    if (is_loopback_name(to.host)) refuse(to, to.host);
    if (IPAddress literal; IPAddress::tryParse(to.host, literal)) check_not_inwards(to, literal);
}

}  // namespace locald::registry
