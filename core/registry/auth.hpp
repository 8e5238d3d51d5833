#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/credentials.hpp"
#include "core/base/progress.hpp"
#include "core/registry/client.hpp"
#include "core/registry/transport.hpp"
#include "core/registry/url.hpp"
#include "core/registry/www_authenticate.hpp"

namespace locald::registry {

/// What is asked for: to pull `repository` from `registry`, which is reached at `origin`.
struct Scope {
    Origin origin;
    std::string registry;
    std::string repository;

    std::string pull() const { return "repository:" + repository + ":pull"; }
};

/// Where a token may be fetched, by what a challenge says.
/// @throws Error(denied) for a realm that is no https URL (http is allowed when the registry itself is spoken to by
/// plain http), has a user name in it or is none at all
Url check_realm(std::string_view realm, const Origin& registry);

/// Keeps the Authorization header of each repository. Thread-safe: tokens are fetched by one thread at a time.
class Authorizer {
public:
    Authorizer(Transport& transport, CredentialSource source, const ClientOptions& options)
        : transport_(transport), source_(std::move(source)), options_(options) {}

    /// The header to send; nothing when none is known or it runs out.
    std::optional<std::string> header(const Scope& scope);

    /// Makes a new header after the registry refused `used` (nothing: no header was sent).
    /// @param challenges  values of WWW-Authenticate
    /// @throws Error(denied) with the login that is missing; errors of credential lookup and of the token server
    std::string answer(const Scope& scope, const std::vector<std::string>& challenges,
                       const std::optional<std::string>& used, const CancelToken& cancel);

    /// The error of a registry that goes on refusing. `words` are the registry's own; may be empty.
    Error refused(const Scope& scope, std::string_view words) const;

private:
    struct Entry {
        std::string header;
        std::chrono::steady_clock::time_point ends;
    };
    using Key = std::pair<Origin, std::string>;

    Entry fetch_token(const Scope& scope, const Challenge& challenge, const std::optional<Credentials>& credentials,
                      bool widen, const CancelToken& cancel);
    Response ask_token_server(const Scope& scope, const Url& realm, const Challenge& challenge,
                              const std::string& wanted, const std::optional<Credentials>& credentials,
                              const CancelToken& cancel);

    Transport& transport_;
    CredentialSource source_;
    ClientOptions options_;
    std::mutex entries_mutex_;
    std::map<Key, Entry> entries_;
    std::mutex fetch_mutex_;
};

}  // namespace locald::registry
