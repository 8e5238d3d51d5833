#include "core/registry/url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::registry {
namespace {

[[noreturn]] void refuse(std::string_view what, std::string_view text, std::string_view why) {
    throw Error(ErrorKind::invalid,
                std::string(what) + " " + json_quote(text.substr(0, 200)) + ": " + std::string(why));
}

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_ipv6(const std::string& host) {
    in6_addr ignored{};
    return ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::uint16_t default_port(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

Origin make_origin(std::string_view scheme, std::string_view authority, std::string_view what, std::string_view text) {
    Origin origin{to_lower(scheme), {}, 0};
    if (origin.scheme != "https" && origin.scheme != "http") refuse(what, text, "only http and https are spoken");
    // `https://registry.example@evil.example/` shows one host and means another
    if (authority.find('@') != std::string_view::npos) refuse(what, text, "a user name in front of the host");
    std::string_view host = authority;
    std::string_view port;
    bool has_port = false;
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) refuse(what, text, "a bracket without its end");
        host = authority.substr(1, end - 1);
        const std::string_view rest = authority.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') refuse(what, text, "something after the address that is no port");
        has_port = !rest.empty();
        if (has_port) port = rest.substr(1);
        origin.host = to_lower(host);
        if (!is_ipv6(origin.host)) refuse(what, text, "what stands in brackets is no IPv6 address");
    } else {
        if (const auto colon = authority.find(':'); colon != std::string_view::npos) {
            host = authority.substr(0, colon);
            port = authority.substr(colon + 1);
            has_port = true;
        }
        origin.host = to_lower(host);
        const bool good = std::all_of(host.begin(), host.end(),
                                      [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; });
        if (host.empty() || host.size() > 253 || !good) refuse(what, text, "no host name");
    }
    origin.port = default_port(origin.scheme);
    if (has_port) {
        const auto number = parse_u64(port);
        if (!number || *number == 0 || *number > 65535) refuse(what, text, "the port is not 1..65535");
        origin.port = static_cast<std::uint16_t>(*number);
    }
    return origin;
}

}  // namespace

std::string Origin::authority() const {
    const std::string shown = host.find(':') != std::string::npos ? "[" + host + "]" : host;
    return port == default_port(scheme) ? shown : shown + ":" + std::to_string(port);
}

std::string Origin::host_and_port() const {
    const std::string shown = host.find(':') != std::string::npos ? "[" + host + "]" : host;
    return shown + ":" + std::to_string(port);
}

Url parse_url(std::string_view text, std::string_view what) {
    const std::string_view whole = text;
    for (const char c : text) {
        // a line end in a URL would become a header of our next request
        if (c <= ' ' || c > '~' || c == '\\') refuse(what, whole, "a character that no URL has");
    }
    text = text.substr(0, text.find('#'));
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) refuse(what, whole, "no absolute URL");
    const std::string_view scheme = text.substr(0, colon);
    text.remove_prefix(colon + 3);
    const auto end = std::min(text.find('/'), text.find('?'));
    Url url{make_origin(scheme, text.substr(0, end), what, whole), "/"};
    if (end != std::string_view::npos) {
        const std::string_view rest = text.substr(end);
        url.target = rest.front() == '/' ? std::string(rest) : "/" + std::string(rest);
    }
    return url;
}

Url resolve_location(const Url& base, std::string_view location) {
    const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
    std::string absolute;
    const auto scheme_end = location.find("://");
    if (location.starts_with("//")) {
        absolute = base.origin.scheme + ":" + std::string(location);
    } else if (location.starts_with('/')) {
        absolute = base.origin.str() + std::string(location);
    } else if (scheme_end != std::string_view::npos && scheme_end < location.find_first_of("/?#")) {
        absolute = std::string(location);
    } else if (location.starts_with('?')) {
        absolute = base.origin.str() + std::string(path) + std::string(location);
    } else {
        absolute = base.origin.str() + std::string(path.substr(0, path.rfind('/') + 1)) + std::string(location);
    }
    Url to = parse_url(absolute, "redirect");
    if (base.origin.secure() && !to.origin.secure()) {
        throw Error(ErrorKind::denied, "redirect from " + base.origin.str() + " to " + to.origin.str() +
                                           ": refused, it leaves the encrypted connection");
    }
    return to;
}

Origin parse_authority(std::string_view scheme, std::string_view authority) {
    if (authority.find_first_of("/?#") != std::string_view::npos) refuse("registry", authority, "no host name");
    return make_origin(scheme, authority, "registry", authority);
}

std::string percent_encode(std::string_view text) {
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            out.push_back(c);
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('%');
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

std::string percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high >= 0 && low >= 0) {
                out.push_back(static_cast<char>(high * 16 + low));
                i += 2;
                continue;
            }
        }
        out.push_back(text[i]);
    }
    return out;
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool is_loopback_name(std::string_view host) {
    const std::string name = to_lower(host);
    if (name == "localhost" || name.ends_with(".localhost")) return true;
    in_addr v4{};
    if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
    in6_addr v6{};
    return ::inet_pton(AF_INET6, name.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace locald::registry
