#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/progress.hpp"
#include "core/oci/reference.hpp"
#include "core/registry/auth.hpp"
#include "core/registry/client.hpp"
#include "core/registry/transport.hpp"

namespace locald::registry {

/// The API host of a registry: `docker.io` is served by registry-1.docker.io.
std::string api_host(std::string_view registry);

/// Requests below `/v2/` of any registry: finds out how it is spoken to, logs in when asked, follows redirects.
/// Thread-safe.
class Session {
public:
    explicit Session(const ClientOptions& options);

    /// GET `/v2/<repository><path>`, once; the answer is 200 or 206, or 404 or 416 for the caller to word.
    /// @throws Transient, Error(denied, unavailable, invalid, cancelled)
    Response get(const oci::Reference& reference, const std::string& path, const std::vector<Header>& headers,
                 const CancelToken& cancel);

private:
    Scope scope_of(const oci::Reference& reference, const std::string& scheme) const;
    bool may_be_plain(const Origin& origin) const;
    Response get_at(const Scope& scope, const std::string& path, const std::vector<Header>& headers,
                    const CancelToken& cancel);
    Response follow(const Scope& scope, const Url& start, const std::vector<Header>& headers,
                    const std::optional<std::string>& authorization, const CancelToken& cancel);

    ClientOptions options_;
    Transport transport_;
    Authorizer authorizer_;
    std::mutex schemes_mutex_;
    std::map<std::string, std::string> schemes_;  ///< registry → what it was found to speak
};

}  // namespace locald::registry
