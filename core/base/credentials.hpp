#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace locald {

/// What opens one registry.
struct Credentials {
    std::string username, password;
    std::string identity_token;  ///< a refresh token; then username and password are empty
    std::string source;          ///< the file or program it came from, for errors
};

/// Who is asked for credentials, once a registry wants some and not before.
struct CredentialSource {
    std::string places;  ///< where they are looked for, for errors
    /// By host[:port] of the reference (`docker.io` for Docker Hub) and the path below it; nothing: none are known.
    std::function<std::optional<Credentials>(std::string_view registry, std::string_view repository)> find;
};

}  // namespace locald
