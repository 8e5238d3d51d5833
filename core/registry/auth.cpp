#include "core/registry/auth.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "core/base/base64.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/registry/retry.hpp"
#include "core/registry/status.hpp"

namespace locald::registry {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

/// What a token without `expires_in` lives, and the least any is taken to live (docker's token specification).
constexpr seconds shortest_token_life{60};
constexpr seconds longest_token_life{3600};
/// A token is renewed this long before it ends.
constexpr seconds renewal_margin{10};
constexpr std::string_view client_id = "locald";

/// The last two labels: what a company usually owns as a whole.
std::string_view owner_of(std::string_view host) {
    const auto last = host.rfind('.');
    if (last == std::string_view::npos || last == 0) return host;
    const auto before = host.rfind('.', last - 1);
    return before == std::string_view::npos ? host : host.substr(before + 1);
}

bool printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string login_command(const std::string& registry) {
    return registry == "docker.io" ? "`docker login`" : "`docker login " + registry + "`";
}

}  // namespace

Url check_realm(std::string_view realm, const Origin& registry) {
    Url url;
    try {
        url = parse_url(realm, "bearer realm");
    } catch (const Error& e) {
        throw Error(ErrorKind::denied, registry.str() + ": " + e.message());
    }
    if (!url.origin.secure() && registry.secure()) {
        throw Error(ErrorKind::denied, registry.str() + ": bearer realm " + json_quote(url.str()) +
                                           ": refused, it would send credentials without encryption");
    }
    return url;
}

std::optional<std::string> Authorizer::header(const Scope& scope) {
    const std::lock_guard lock(entries_mutex_);
    const auto found = entries_.find({scope.origin, scope.repository});
    if (found == entries_.end() || found->second.ends <= steady_clock::now()) return std::nullopt;
    return found->second.header;
}

Error Authorizer::refused(const Scope& scope, std::string_view words) const {
    const std::string tail = words.empty() ? std::string() : ": " + std::string(words);
    return Error(ErrorKind::denied, scope.registry + " refuses to let " + scope.repository + " be pulled" + tail)
        .with_remedy("check the name, or log in with " + login_command(scope.registry) +
                     " (credentials are looked for in " + source_.places + ")");
}

std::string Authorizer::answer(const Scope& scope, const std::vector<std::string>& challenges,
                               const std::optional<std::string>& used, const CancelToken& cancel) {
    const std::lock_guard fetching(fetch_mutex_);
    // another thread may have answered the same challenge while this one waited
    if (auto known = header(scope); known && known != used) return *known;

    std::optional<Challenge> bearer;
    std::optional<Challenge> basic;
    for (const std::string& value : challenges) {
        for (Challenge& challenge : parse_www_authenticate(value)) {
            if (challenge.scheme == "bearer" && !bearer)
                bearer = std::move(challenge);
            else if (challenge.scheme == "basic" && !basic)
                basic = std::move(challenge);
        }
    }
    const auto credentials = source_.find(scope.registry, scope.repository);
    Entry entry;
    if (bearer) {
        const bool widen = used && bearer->parameter("error") == "insufficient_scope";
        entry = fetch_token(scope, *bearer, credentials, widen, cancel);
    } else if (basic) {
        if (!credentials || !credentials->identity_token.empty())
            throw refused(scope, "it wants a user and a password");
        entry.header = "Basic " + base64_encode(credentials->username + ":" + credentials->password);
        entry.ends = steady_clock::time_point::max();
        if (used == entry.header) {
            throw refused(scope, "it does not accept the credentials from " + credentials->source);
        }
    } else {
        throw refused(scope, challenges.empty() ? "it does not say how to log in"
                                                : "it asks for a login that is neither Bearer nor Basic");
    }
    const std::lock_guard lock(entries_mutex_);
    entries_[{scope.origin, scope.repository}] = entry;
    return entry.header;
}

Response Authorizer::ask_token_server(const Scope& scope, const Url& realm, const Challenge& challenge,
                                      const std::string& wanted, const std::optional<Credentials>& credentials,
                                      const CancelToken& cancel) {
    std::string form;
    const auto add = [&](std::string_view name, std::string_view value) {
        form += (form.empty() ? "" : "&") + std::string(name) + "=" + percent_encode(value);
    };
    Request request;
    request.url = realm;
    const bool refresh = credentials && !credentials->identity_token.empty();
    if (refresh) {
        add("grant_type", "refresh_token");
        add("refresh_token", credentials->identity_token);
        add("client_id", client_id);
    }
    if (const auto service = challenge.parameter("service"); !service.empty()) add("service", service);
    add("scope", wanted);
    if (refresh) {
        request.method = "POST";
        request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
        request.body = form;
    } else {
        if (credentials && !credentials->password.empty()) {
            if (!credentials->username.empty()) add("account", credentials->username);
            request.headers.push_back(
                {"Authorization", "Basic " + base64_encode(credentials->username + ":" + credentials->password)});
        }
        request.url.target += (realm.target.find('?') == std::string::npos ? "?" : "&") + form;
    }
    if (credentials && owner_of(realm.origin.host) != owner_of(scope.origin.host)) {
        log(LogLevel::warning,
            "the credentials for " + scope.registry + " go to " + realm.origin.str() + ", which it names for logins");
    }
    const bool same = realm.origin == scope.origin;
    const Reach reach = same || transport_.leads_to_loopback(scope.origin.host) ? Reach::anywhere : Reach::not_inwards;
    return transport_.exchange(request, reach, cancel);
}

Authorizer::Entry Authorizer::fetch_token(const Scope& scope, const Challenge& challenge,
                                          const std::optional<Credentials>& credentials, bool widen,
                                          const CancelToken& cancel) {
    const Url realm = check_realm(challenge.parameter("realm"), scope.origin);
    std::string wanted = scope.pull();
    if (const auto asked = challenge.parameter("scope"); widen && !asked.empty()) wanted = asked;
    const auto asked_at = steady_clock::now();
    const std::string text = with_retries(options_.most_retries, cancel, [&] {
        Response response = ask_token_server(scope, realm, challenge, wanted, credentials, cancel);
        const std::string what = "token from " + realm.origin.str();
        if (is_transient_status(response.status())) throw_transient(response, what, cancel);
        if (response.status() == 200) return response.read_text(options_.largest_token, what, cancel);
        const std::string words = error_words(response, cancel);
        if (response.status() == 400 || response.status() == 401 || response.status() == 403) {
            const std::string said = words.empty() ? "" : ": " + words;
            throw refused(scope, credentials ? realm.origin.str() + " does not accept the credentials from " +
                                                   credentials->source + said
                                             : realm.origin.str() + " gives no token" + said);
        }
        // a redirect too: it could carry credentials to where nobody checked
        throw Error(ErrorKind::unavailable,
                    what + ": it answered " + std::to_string(response.status()) + (words.empty() ? "" : ": " + words));
    });
    const auto answer = nlohmann::json::parse(text, nullptr, false);
    std::string token;
    seconds life = shortest_token_life;
    if (answer.is_object()) {
        for (const char* name : {"token", "access_token"}) {
            const auto found = answer.find(name);
            if (token.empty() && found != answer.end() && found->is_string()) token = found->get<std::string>();
        }
        const auto expires = answer.find("expires_in");
        if (expires != answer.end() && expires->is_number_unsigned()) {
            const auto most = static_cast<std::uint64_t>(longest_token_life.count());
            life = seconds(static_cast<seconds::rep>(std::min(expires->get<std::uint64_t>(), most)));
        }
    }
    // it becomes a header of ours
    if (token.empty() || !printable(token)) {
        throw Error(ErrorKind::unavailable, "token from " + realm.origin.str() + ": the answer holds no token");
    }
    return {"Bearer " + token, asked_at + std::max(life, shortest_token_life) - renewal_margin};
}

}  // namespace locald::registry
