#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/credentials.hpp"

namespace locald::registry {

/// What credential lookup reads of its surroundings.
struct CredentialPlaces {
    /// Files in order; the first that knows the registry counts.
    std::vector<std::string> files;
    /// The first file was named by the user, so it has to exist.
    bool first_must_exist = false;
    std::string search_path;  ///< PATH for credential helpers

    /// `auth_file` alone when it is not empty; else `$REGISTRY_AUTH_FILE` alone, else docker's config.json
    /// (`$DOCKER_CONFIG`, else `~/.docker`), then `$XDG_RUNTIME_DIR/containers/auth.json`, then
    /// `$XDG_CONFIG_HOME/containers/auth.json` (else `~/.config/…`).
    static CredentialPlaces of_this_process(const std::string& auth_file);
};

/// Looks credentials up as docker and containers/image do. Nothing is cached; nothing is ever written.
///
/// In one file: `credHelpers` for the host, else `credsStore`, else the longest matching key of `auths`. A helper that
/// is named and missing or broken is an error: other credentials are not tried in its place (CVE-2021-41092).
class CredentialStore {
public:
    explicit CredentialStore(CredentialPlaces places) : places_(std::move(places)) {}

    /// @param registry    host[:port] of the reference, `docker.io` for Docker Hub
    /// @param repository  path below it
    /// @throws Error(invalid) for a malformed file, Error(unavailable) for a missing or failing helper
    std::optional<Credentials> find(std::string_view registry, std::string_view repository) const;

    /// The files, joined for an error message.
    std::string described() const;

private:
    CredentialPlaces places_;
};

/// The store of this process's surroundings. @param auth_file  as of_this_process() takes it
CredentialSource credentials_of_this_host(const std::string& auth_file = {});
/// The same for a pull on another host, whose errors say whose files they are.
CredentialSource credentials_for_another_host();

/// The names under which credentials of `registry` may stand, best first: docker.io is also
/// `https://index.docker.io/v1/`, `index.docker.io` and `registry-1.docker.io`.
std::vector<std::string> registry_aliases(std::string_view registry);

/// An `auths` key without scheme, trailing slash and API version: `https://host/v1/` is `host`.
std::string normalised_key(std::string_view key);

}  // namespace locald::registry
