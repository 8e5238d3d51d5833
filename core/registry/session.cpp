#include "core/registry/session.hpp"

#include <algorithm>
#include <cerrno>

#include "core/base/text.hpp"
#include "core/registry/credentials/credential_store.hpp"
#include "core/registry/status.hpp"
#include "core/registry/www_authenticate.hpp"

namespace locald::registry {
namespace {

/// Own scope, then the one that the registry names.
constexpr int most_logins = 2;

/// References can be made by hand, and this becomes part of a request line.
void check_repository(const std::string& repository) {
    const bool good = std::all_of(repository.begin(), repository.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-' || c == '/';
    });
    if (!good || repository.empty() || repository.find("..") != std::string::npos) {
        throw Error(ErrorKind::invalid, "repository " + json_quote(repository) + ": not a repository's name");
    }
}

bool wants_wider_scope(const Response& response) {
    for (const std::string& value : response.all_headers("WWW-Authenticate")) {
        for (const Challenge& challenge : parse_www_authenticate(value)) {
            if (challenge.parameter("error") == "insufficient_scope") return true;
        }
    }
    return false;
}

}  // namespace

std::string api_host(std::string_view registry) {
    return registry == "docker.io" ? "registry-1.docker.io" : std::string(registry);
}

Session::Session(const ClientOptions& options)
    : options_(options),
      transport_(options),
      authorizer_(transport_,
                  options.credentials.find ? options.credentials : credentials_of_this_host(options.auth_file),
                  options) {}

Scope Session::scope_of(const oci::Reference& reference, const std::string& scheme) const {
    check_repository(reference.repository);
    return {parse_authority(scheme, api_host(reference.registry)), reference.registry, reference.repository};
}

bool Session::may_be_plain(const Origin& origin) const {
    if (is_loopback_name(origin.host)) return true;
    return std::any_of(options_.plain_http.begin(), options_.plain_http.end(), [&](const std::string& named) {
        // without a port the host is meant on every port
        const Origin other = parse_authority("https", named);
        const bool has_port = named.rfind(':') != std::string::npos && named.rfind(':') > named.rfind(']') + 1;
        return other.host == origin.host &&
               (other.port == origin.port || (!has_port && !named.ends_with(":" + std::to_string(other.port))));
    });
}

Response Session::get(const oci::Reference& reference, const std::string& path, const std::vector<Header>& headers,
                      const CancelToken& cancel) {
    std::string known;
    {
        const std::lock_guard lock(schemes_mutex_);
        if (const auto found = schemes_.find(reference.registry); found != schemes_.end()) known = found->second;
    }
    if (!known.empty()) return get_at(scope_of(reference, known), path, headers, cancel);

    const auto remember = [&](const std::string& scheme) {
        const std::lock_guard lock(schemes_mutex_);
        schemes_[reference.registry] = scheme;
    };
    const Scope secure = scope_of(reference, "https");
    const Scope plain = scope_of(reference, "http");
    if (!may_be_plain(secure.origin)) return get_at(secure, path, headers, cancel);
    try {
        Response response = get_at(secure, path, headers, cancel);
        remember("https");
        return response;
    } catch (const NoTls&) {
        // tried without TLS below
    } catch (const Error& e) {
        // nobody listens on 443 where a registry without a port serves on 80
        if (e.os_errno() != ECONNREFUSED || secure.origin.port == plain.origin.port) throw;
    }
    remember("http");
    return get_at(plain, path, headers, cancel);
}

Response Session::get_at(const Scope& scope, const std::string& path, const std::vector<Header>& headers,
                         const CancelToken& cancel) {
    const Url url{scope.origin, "/v2/" + scope.repository + path};
    std::optional<std::string> authorization = authorizer_.header(scope);
    for (int logins = 0;; ++logins) {
        Response response = follow(scope, url, headers, authorization, cancel);
        const int status = response.status();
        if (status == 200 || status == 206 || status == 404 || status == 416) return response;
        const std::string what = scope.registry + "/" + scope.repository;
        if (is_transient_status(status)) throw_transient(response, what, cancel);
        const bool from_registry = response.url().origin == scope.origin;
        if (from_registry && (status == 401 || (status == 403 && wants_wider_scope(response))) &&
            logins < most_logins) {
            const auto challenges = response.all_headers("WWW-Authenticate");
            response.discard(cancel);
            authorization = authorizer_.answer(scope, challenges, authorization, cancel);
            continue;
        }
        const std::string words = error_words(response, cancel);
        if (from_registry && (status == 401 || status == 403)) throw authorizer_.refused(scope, words);
        throw Error(status == 403 || status == 401 ? ErrorKind::denied : ErrorKind::unavailable,
                    what + ": " + response.url().origin.str() + " answered " + std::to_string(status) +
                        (words.empty() ? "" : ": " + words));
    }
}

Response Session::follow(const Scope& scope, const Url& start, const std::vector<Header>& headers,
                         const std::optional<std::string>& authorization, const CancelToken& cancel) {
    Request request;
    request.url = start;
    std::optional<bool> registry_is_local;
    for (std::size_t redirects = 0;; ++redirects) {
        request.headers = headers;
        const bool home = request.url.origin == scope.origin;
        // the whole rule about secrets: they go to the registry's own scheme, host and port, and nowhere else
        if (home && authorization) request.headers.push_back({"Authorization", *authorization});
        Reach reach = Reach::anywhere;
        if (!home) {
            if (!registry_is_local) registry_is_local = transport_.leads_to_loopback(scope.origin.host);
            if (!*registry_is_local) reach = Reach::not_inwards;
        }
        Response response = transport_.exchange(request, reach, cancel);
        if (!is_redirect(response.status())) return response;
        const auto location = response.header("Location");
        const std::string what = scope.registry + "/" + scope.repository;
        if (!location) throw Error(ErrorKind::unavailable, what + ": a redirect that names no place");
        if (redirects >= options_.most_redirects) {
            throw Error(ErrorKind::unavailable,
                        what + ": more than " + std::to_string(options_.most_redirects) + " redirects");
        }
        request.url = in_step(what, [&] { return resolve_location(response.url(), trim(*location)); });
        response.discard(cancel);
    }
}

}  // namespace locald::registry
