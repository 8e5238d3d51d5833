#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace locald::registry {

/// One challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
struct Challenge {
    std::string scheme;                             ///< lower case: `bearer`, `basic`
    std::string token;                              ///< token68 form: `Negotiate YII=`
    std::map<std::string, std::string> parameters;  ///< names in lower case; the first of two equal names counts

    /// The value of `name`; empty when it is not there.
    std::string parameter(std::string_view name) const;
    bool operator==(const Challenge&) const = default;
};

/// All challenges of one header value, in order. Never throws on malformed text: what was understood before the first
/// malformed place is returned, what comes after it is not guessed at. A value above 8 KiB gives nothing.
std::vector<Challenge> parse_www_authenticate(std::string_view value);

}  // namespace locald::registry
