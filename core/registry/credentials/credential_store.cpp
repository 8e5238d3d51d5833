#include "core/registry/credentials/credential_store.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "core/base/base64.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/child_process.hpp"

namespace locald::registry {
namespace {

using nlohmann::json;

constexpr std::size_t largest_file = 1U << 20U;
constexpr std::chrono::seconds helper_timeout{30};
constexpr std::string_view docker_hub = "docker.io";
constexpr std::string_view docker_hub_key = "https://index.docker.io/v1/";

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

/// The file's text; nothing when it does not exist.
std::optional<std::string> read_if_there(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    if (!in) throw_errno(errno != 0 ? errno : EIO, "read credentials from ", path);
    std::string text(largest_file + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) throw_errno(EIO, "read credentials from ", path);
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > largest_file) {
        throw Error(ErrorKind::invalid, "read credentials from " + path + ": larger than 1 MiB");
    }
    return text;
}

std::string text_member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json* object_member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_object() ? &*found : nullptr;
}

[[noreturn]] void helper_failed(const std::string& program, const std::string& file, const std::string& why) {
    throw Error(ErrorKind::unavailable, "credential helper " + program + " named by " + file + ": " + why)
        .with_remedy("install or repair " + program + ", or remove its name from " + file +
                     "; no other credentials are sent in its place");
}

/// The absolute path of `program`, found on `search_path`; empty when it is nowhere. Relative entries of PATH are
/// skipped: the directory a command is typed in must not decide which program sees secrets.
std::string find_program(const std::string& program, const std::string& search_path) {
    for (const std::string_view directory : split(search_path, ':')) {
        if (!directory.starts_with('/')) continue;
        std::string path = std::string(directory) + "/" + program;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return {};
}

Credentials identity_or_password(std::string username, std::string password, std::string source) {
    // the user name that credential programs give for an identity token
    if (username == "<token>") return {{}, {}, std::move(password), std::move(source)};
    return {std::move(username), std::move(password), {}, std::move(source)};
}

/// Asks `docker-credential-NAME get`.
std::optional<Credentials> ask_helper(const std::string& name, const std::string& server, const std::string& file,
                                      const std::string& search_path) {
    const bool good = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    });
    if (!good) throw Error(ErrorKind::invalid, file + ": credential helper " + json_quote(name) + ": no program name");
    const std::string program = "docker-credential-" + name;
    const std::string path = find_program(program, search_path);
    if (path.empty()) helper_failed(program, file, "not found on PATH");

    host::ChildOptions child;
    child.argv = {path, "get"};
    child.env = host::current_environment();
    host::Captured said;
    try {
        said = host::run_and_capture(std::move(child), server + "\n", helper_timeout);
    } catch (const Error& e) {
        helper_failed(program, file, e.message());
    }
    if (!said.status.ok()) {
        const std::string words(trim(said.out.empty() ? said.err : said.out));
        if (words.find("credentials not found") != std::string::npos) return std::nullopt;
        const std::string shown = json_quote(std::string_view(words).substr(0, 200));
        helper_failed(program, file,
                      "ended with " + std::to_string(said.status.exit_code()) + (words.empty() ? "" : " and " + shown));
    }
    // never quoted in an error: it holds the secret
    const json answer = json::parse(said.out, nullptr, false);
    if (!answer.is_object()) helper_failed(program, file, "its answer is no JSON object");
    std::string secret = text_member(answer, "Secret");
    if (secret.empty()) return std::nullopt;
    return identity_or_password(text_member(answer, "Username"), std::move(secret), program);
}

std::optional<Credentials> from_entry(const json& entry, const std::string& file, const std::string& key) {
    if (!entry.is_object()) return std::nullopt;
    if (std::string token = text_member(entry, "identitytoken"); !token.empty()) {
        return Credentials{{}, {}, std::move(token), file};
    }
    if (const std::string auth = text_member(entry, "auth"); !auth.empty()) {
        const std::string decoded = base64_decode(trim(auth)).value_or("");
        const auto colon = decoded.find(':');
        if (colon == std::string::npos) {
            throw Error(ErrorKind::invalid,
                        file + ": auths[" + json_quote(key) + "].auth: expected base64 of user:password");
        }
        std::string password = decoded.substr(colon + 1);
        password.erase(password.find_last_not_of('\0') + 1);  // docker once padded them
        return identity_or_password(decoded.substr(0, colon), std::move(password), file);
    }
    std::string username = text_member(entry, "username");
    std::string password = text_member(entry, "password");
    if (username.empty() && password.empty()) return std::nullopt;  // a helper holds the secret
    return identity_or_password(std::move(username), std::move(password), file);
}

/// The best entry of `auths`: the longest path prefix under any of the registry's names, as written first.
std::optional<Credentials> from_auths(const json& auths, const std::string& file,
                                      const std::vector<std::string>& aliases, std::string_view repository) {
    std::string prefix(repository);
    for (;;) {
        for (const std::string& alias : aliases) {
            const std::string wanted = normalised_key(alias) + (prefix.empty() ? "" : "/" + prefix);
            for (const bool exact : {true, false}) {
                for (const auto& [key, entry] : auths.items()) {
                    if (exact ? key != wanted : (key == wanted || normalised_key(key) != wanted)) continue;
                    if (auto found = from_entry(entry, file, key)) return found;
                }
            }
        }
        if (prefix.empty()) return std::nullopt;
        const auto slash = prefix.rfind('/');
        prefix.resize(slash == std::string::npos ? 0 : slash);
    }
}

}  // namespace

CredentialPlaces CredentialPlaces::of_this_process(const std::string& auth_file) {
    CredentialPlaces places;
    places.search_path = variable("PATH");
    const std::string named = !auth_file.empty() ? auth_file : variable("REGISTRY_AUTH_FILE");
    if (!named.empty()) {
        places.files = {named};
        places.first_must_exist = true;
        return places;
    }
    const std::string home = variable("HOME");
    const std::string docker = variable("DOCKER_CONFIG");
    if (!docker.empty()) {
        places.files.push_back(docker + "/config.json");
    } else if (!home.empty()) {
        places.files.push_back(home + "/.docker/config.json");
    }
    if (const std::string runtime = variable("XDG_RUNTIME_DIR"); !runtime.empty()) {
        places.files.push_back(runtime + "/containers/auth.json");
    }
    if (const std::string config = variable("XDG_CONFIG_HOME"); !config.empty()) {
        places.files.push_back(config + "/containers/auth.json");
    } else if (!home.empty()) {
        places.files.push_back(home + "/.config/containers/auth.json");
    }
    return places;
}

std::optional<Credentials> CredentialStore::find(std::string_view registry, std::string_view repository) const {
    const std::vector<std::string> aliases = registry_aliases(registry);
    const std::string server = registry == docker_hub ? std::string(docker_hub_key) : std::string(registry);
    for (std::size_t i = 0; i < places_.files.size(); ++i) {
        const std::string& file = places_.files[i];
        const auto text = read_if_there(file);
        if (!text) {
            if (i == 0 && places_.first_must_exist) throw_errno(ENOENT, "read credentials from ", file);
            continue;
        }
        if (trim(*text).empty()) continue;
        const json document = json::parse(*text, nullptr, false);
        if (!document.is_object()) throw Error(ErrorKind::invalid, file + ": expected a JSON object");
        if (const json* helpers = object_member(document, "credHelpers")) {
            for (const std::string& alias : aliases) {
                // a host with a helper of its own is that helper's alone, also when it knows nothing
                const auto named = helpers->find(alias);
                if (named == helpers->end() || !named->is_string()) continue;
                return ask_helper(named->get<std::string>(), server, file, places_.search_path);
            }
        }
        if (const std::string store = text_member(document, "credsStore"); !store.empty()) {
            if (auto found = ask_helper(store, server, file, places_.search_path)) return found;
        }
        if (const json* auths = object_member(document, "auths")) {
            if (auto found = from_auths(*auths, file, aliases, repository)) return found;
        }
    }
    return std::nullopt;
}

std::string CredentialStore::described() const {
    std::string out;
    for (const std::string& file : places_.files) out += (out.empty() ? "" : ", ") + file;
    return out.empty() ? "no file: HOME is not set" : out;
}

CredentialSource credentials_of_this_host(const std::string& auth_file) {
    CredentialStore store(CredentialPlaces::of_this_process(auth_file));
    std::string places = store.described();
    return {std::move(places), [store = std::move(store)](std::string_view registry, std::string_view repository) {
                return store.find(registry, repository);
            }};
}

CredentialSource credentials_for_another_host() {
    auto source = credentials_of_this_host();
    source.places += " on this host";
    source.find = [find = std::move(source.find)](std::string_view registry, std::string_view repository) {
        auto found = in_step("look credentials up on this host", [&] { return find(registry, repository); });
        if (found) found->source += " on this host";
        return found;
    };
    return source;
}

std::vector<std::string> registry_aliases(std::string_view registry) {
    if (registry != docker_hub) return {std::string(registry)};
    return {std::string(docker_hub), std::string(docker_hub_key), "index.docker.io", "registry-1.docker.io"};
}

std::string normalised_key(std::string_view key) {
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
    }
    while (key.ends_with('/')) key.remove_suffix(1);
    for (const std::string_view version : {"/v1", "/v2"}) {
        if (key.ends_with(version)) {
            key.remove_suffix(version.size());
            break;
        }
    }
    return std::string(key);
}

}  // namespace locald::registry
