#include "core/registry/proxy.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <span>

#include "core/base/base64.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::registry {
namespace {

std::string variable(const char* lower, const char* upper) {
    for (const char* name : {lower, upper}) {
        const char* value = std::getenv(name);
        if (value != nullptr && *value != '\0') return value;
    }
    return {};
}

/// An address as bytes: 4 or 16 of them, none for a name.
struct Address {
    std::array<unsigned char, 16> bytes{};
    std::size_t size = 0;
};

Address parse_address(const std::string& text) {
    Address out;
    if (::inet_pton(AF_INET, text.c_str(), out.bytes.data()) == 1) {
        out.size = 4;
    } else if (::inet_pton(AF_INET6, text.c_str(), out.bytes.data()) == 1) {
        out.size = 16;
    }
    return out;
}

bool in_block(const std::string& host, std::string_view block) {
    const auto slash = block.find('/');
    const auto bits = parse_u64(block.substr(slash + 1));
    const Address net = parse_address(std::string(block.substr(0, slash)));
    const Address address = parse_address(host);
    if (!bits || net.size == 0 || net.size != address.size || *bits > net.size * 8) return false;
    const auto whole = static_cast<std::size_t>(*bits / 8);
    if (std::memcmp(net.bytes.data(), address.bytes.data(), whole) != 0) return false;
    const auto rest = static_cast<unsigned>(*bits % 8);
    if (rest == 0) return true;
    const unsigned mask = 0xffU & (0xffU << (8U - rest));
    return (net.bytes[whole] & mask) == (address.bytes[whole] & mask);
}

bool is_excepted(const Origin& to, std::string_view rule) {
    if (rule == "*") return true;
    if (rule.find('/') != std::string_view::npos) return in_block(to.host, rule);
    std::string name = to_lower(rule);
    if (name.starts_with('[')) {
        const auto end = name.find(']');
        if (end == std::string::npos) return false;
        if (end + 1 < name.size() && name.substr(end + 1) != ":" + std::to_string(to.port)) return false;
        return name.substr(1, end - 1) == to.host;
    }
    if (const auto colon = name.find(':'); colon != std::string::npos && colon == name.rfind(':')) {
        if (name.substr(colon + 1) != std::to_string(to.port)) return false;
        name.resize(colon);
    }
    if (name.starts_with("*.")) name.erase(0, 1);
    if (name.starts_with('.')) name.erase(0, 1);
    if (name.empty()) return false;
    return to.host == name || to.host.ends_with("." + name);
}

}  // namespace

ProxySettings ProxySettings::of_this_process() {
    return {variable("https_proxy", "HTTPS_PROXY"), variable("http_proxy", "HTTP_PROXY"),
            variable("no_proxy", "NO_PROXY")};
}

std::optional<Proxy> proxy_for(const Origin& to, const ProxySettings& settings) {
    std::string text = to.secure() ? settings.https : settings.http;
    if (text.empty() || is_loopback_name(to.host)) return std::nullopt;
    for (const std::string_view rule : split(settings.except, ',')) {
        if (!trim(rule).empty() && is_excepted(to, trim(rule))) return std::nullopt;
    }
    if (text.find("://") == std::string::npos) text = "http://" + text;
    if (!to_lower(text).starts_with("http://")) {
        throw Error(ErrorKind::unsupported, "proxy " + text.substr(0, text.find("://")) +
                                                "://…: only proxies spoken to by plain http are known")
            .with_remedy("set " + std::string(to.secure() ? "https_proxy" : "http_proxy") + " to an http:// URL");
    }
    Proxy proxy;
    std::string rest = text.substr(7);
    const auto end = rest.find_first_of("/?#");
    const auto at = rest.substr(0, end).rfind('@');
    if (at != std::string::npos) {
        proxy.authorization = "Basic " + base64_encode(percent_decode(rest.substr(0, at)));
        rest.erase(0, at + 1);
    }
    proxy.origin = parse_url("http://" + rest, "proxy").origin;
    return proxy;
}

}  // namespace locald::registry
