#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace locald::registry {

/// Who is spoken to: credentials that belong to one origin are never shown to another (RFC 6454).
struct Origin {
    std::string scheme;      ///< `https` or `http`
    std::string host;        ///< lower case; an IPv6 address without its brackets
    std::uint16_t port = 0;  ///< never 0 once parsed

    bool secure() const noexcept { return scheme == "https"; }
    /// `host[:port]` as the Host header has it: a default port is left out, an IPv6 address is bracketed.
    std::string authority() const;
    /// `host:port` with the port always.
    std::string host_and_port() const;
    std::string str() const { return scheme + "://" + authority(); }
    auto operator<=>(const Origin&) const = default;
};

/// An absolute http or https URL.
struct Url {
    Origin origin;
    std::string target;  ///< path and query, begins with `/`, printable ASCII only

    std::string str() const { return origin.str() + target; }
    bool operator==(const Url&) const = default;
};

/// Parses an absolute URL; a fragment is dropped. Refused: schemes other than http and https, user names in front of
/// the host, hosts and ports that are none, blanks, control characters and bytes beyond ASCII.
/// @param what  what the text is, for the error: `bearer realm`, `redirect`
/// @throws Error(invalid)
Url parse_url(std::string_view text, std::string_view what);

/// Where a Location header of an answer to `base` points (RFC 3986 §5.2, without dot segments).
/// @throws Error(invalid) as parse_url, and Error(denied) when it leads from https to http
Url resolve_location(const Url& base, std::string_view location);

/// The origin of `host[:port]`. @throws Error(invalid)
Origin parse_authority(std::string_view scheme, std::string_view authority);

/// `text` with everything but RFC 3986's unreserved characters percent-encoded.
std::string percent_encode(std::string_view text);
/// The inverse; a `%` that no two hex digits follow stays as it is.
std::string percent_decode(std::string_view text);

/// ASCII letters in lower case.
std::string to_lower(std::string_view text);

/// localhost, names below it, 127.0.0.0/8 and ::1, by name alone: nothing is looked up.
bool is_loopback_name(std::string_view host);

}  // namespace locald::registry
