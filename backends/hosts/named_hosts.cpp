#include "backends/hosts/named_hosts.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>

#include "backends/hosts/fingerprint.hpp"
#include "backends/hosts/path_map.hpp"
#include "backends/hosts/ssh_address.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t name_most = 64;
// What this version writes and reads.
constexpr int file_version = 1;

/// Where in the file something is, for error texts.
struct Place {
    const std::string& path;
    std::string field;

    Place at(const std::string& name) const { return {path, field.empty() ? name : field + "." + name}; }
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::corrupt, "read " + path + ": " + (field.empty() ? "the whole" : field) + ": " + why)
            .with_remedy("mend that in the file, or move the file away and add the hosts again; it was not changed");
    }
};

std::string text_at(const Json& value, const Place& place) {
    if (!value.is_string()) place.fail("expected a text, not " + std::string(value.type_name()));
    return value.get<std::string>();
}

/// The object's members, each given to `take(name, value, place)`, which is false for one that it does not know.
template <class Take>
void each_member(const Json& object, const Place& place, Take&& take) {
    if (!object.is_object()) place.fail("expected an object, not " + std::string(object.type_name()));
    for (const auto& [name, value] : object.items()) {
        // Passed over it would be lost when the file is written next.
        if (!take(name, value, place.at(name))) place.at(name).fail("this version of locald does not know it");
    }
}

std::vector<runtime::SharedTree> read_shared(const Json& json, const Place& place) {
    if (!json.is_array()) place.fail("expected a list, not " + std::string(json.type_name()));
    std::vector<runtime::SharedTree> trees;
    for (const auto& one : json) {
        const Place at{place.path, place.field + "[" + std::to_string(trees.size()) + "]"};
        try {
            trees.push_back(parse_shared_tree(text_at(one, at)));
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::corrupt) throw;
            at.fail(e.message());
        }
    }
    return trees;
}

NamedHost read_host(const Json& json, const Place& place) {
    NamedHost host;
    each_member(json, place, [&](const std::string& name, const Json& value, const Place& at) {
        if (name == "url") {
            host.url = text_at(value, at);
        } else if (name == "identity") {
            host.identity = text_at(value, at);
        } else if (name == "knownHosts") {
            host.known_hosts = text_at(value, at);
        } else if (name == "hostKey") {
            host.host_key = text_at(value, at);
        } else if (name == "sshAgent") {
            if (!value.is_boolean()) at.fail("expected true or false, not " + std::string(value.type_name()));
            host.agent = value.get<bool>();
        } else if (name == "shared") {
            host.shared = read_shared(value, at);
        } else {
            return false;
        }
        return true;
    });
    try {
        if (!host.host_key.empty()) parse_host_key(host.host_key);
        parse_ssh_address(host.url);
    } catch (const Error& e) {
        place.fail(e.message());
    }
    return host;
}

bool is_key_type(std::string_view word) {
    return word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
}

/// 32 bytes in base64 without padding.
bool is_fingerprint(std::string_view word) {
    constexpr std::string_view prefix = "SHA256:";
    constexpr std::size_t length = 43;
    if (!word.starts_with(prefix)) return false;
    word.remove_prefix(prefix.size());
    return word.size() == length && std::all_of(word.begin(), word.end(), [](char c) {
               return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/';
           });
}

}  // namespace

std::string NamedHost::address() const {
    auto address = parse_ssh_address(url);
    if (!identity.empty()) address.identity = identity;
    if (!known_hosts.empty()) address.known_hosts = known_hosts;
    if (!host_key.empty()) address.host_key = host_key;
    address.agent = address.agent || agent;
    return address.text();
}

bool is_host_name(std::string_view text) noexcept {
    const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    return !text.empty() && text.size() <= name_most && is_plain(text.front()) &&
           std::all_of(text.begin(), text.end(),
                       [&](char c) { return is_plain(c) || c == '_' || c == '.' || c == '-'; });
}

const NamedHost& NamedHosts::get(std::string_view name) const {
    if (const auto found = hosts.find(name); found != hosts.end()) return found->second;
    std::string known;
    for (const auto& [one, host] : hosts) known += (known.empty() ? "" : ", ") + one;
    throw Error(ErrorKind::not_found, "host " + json_quote(name) + ": there is none of this name; " +
                                          (known.empty() ? "no host has a name" : "known are " + known))
        .with_remedy("`locald host add " + std::string(is_host_name(name) ? name : "NAME") +
                     " ssh://USER@HOST` gives a host a name; without a name write ssh://USER@HOST");
}

std::string NamedHosts::address_of(std::string_view text) const {
    if (text.empty() || text == local_host) return {};
    if (!is_host_name(text)) return parse_ssh_address(text).text();
    return get(text).address();
}

std::vector<runtime::SharedTree> NamedHosts::shared_with(std::string_view text) const {
    const auto found = hosts.find(text);
    return found != hosts.end() ? found->second.shared : std::vector<runtime::SharedTree>();
}

std::string NamedHosts::name_of(std::string_view address) const {
    for (const auto& [name, host] : hosts) {
        if (host.address() == address) return name;
    }
    return {};
}

std::string parse_host_key(std::string_view text) {
    std::vector<std::string_view> words;
    for (const auto word : split(trim(text), ' ')) {
        if (!word.empty()) words.push_back(word);
    }
    if (words.size() == 1 && is_fingerprint(words[0])) return std::string(words[0]);
    if (words.size() >= 2 && is_key_type(words[0])) {
        const std::string type(words[0]);
        if (is_fingerprint(words[1])) return type + " " + std::string(words[1]);
        // RFC 4253, section 6.6: a key begins with its type, and the type with its length.
        if (words[1].starts_with("AAAA")) return type + " " + fingerprint_of_base64(std::string(words[1]));
    }
    throw Error(ErrorKind::invalid, "host key " + json_quote(text.substr(0, 128)) + ": it is no SHA256 fingerprint")
        .with_remedy("on that host `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` prints it: SHA256:…");
}

NamedHosts parse_named_hosts(std::string_view text, const std::string& path) {
    const Place top{path, ""};
    Json json;
    try {
        json = Json::parse(text);
    } catch (const Json::exception& e) {
        // `[json.exception.parse_error.101] parse error at line 2, column 3: …`, `[…out_of_range.406] number overflow
        // …`
        const std::string_view words = e.what();
        auto from = words.find("at line");
        if (from == std::string_view::npos) {
            const auto bracket = words.find("] ");
            if (bracket != std::string_view::npos) from = bracket + 2;
        }
        top.fail(std::string(from == std::string_view::npos ? words : words.substr(from)));
    }
    NamedHosts result;
    bool has_version = false;
    each_member(json, top, [&](const std::string& name, const Json& value, const Place& at) {
        if (name == "version") {
            has_version = true;
            if (value != file_version) at.fail("expected " + std::to_string(file_version) + ", not " + value.dump());
        } else if (name == "use") {
            result.in_use = text_at(value, at);
        } else if (name == "hosts") {
            each_member(value, at, [&](const std::string& host, const Json& what, const Place& there) {
                if (!is_host_name(host) || host == local_host) there.fail("a host cannot have this name");
                result.hosts.emplace(host, read_host(what, there));
                return true;
            });
        } else {
            return false;
        }
        return true;
    });
    if (!has_version) top.at("version").fail("it is missing");
    if (!result.in_use.empty() && !result.hosts.contains(result.in_use)) {
        top.at("use").fail("there is no host " + json_quote(result.in_use));
    }
    return result;
}

std::string write_named_hosts(const NamedHosts& hosts) {
    Json json{{"version", file_version}};
    if (!hosts.in_use.empty()) json["use"] = hosts.in_use;
    json["hosts"] = Json::object();
    for (const auto& [name, host] : hosts.hosts) {
        Json one{{"url", host.url}};
        if (!host.identity.empty()) one["identity"] = host.identity;
        if (!host.known_hosts.empty()) one["knownHosts"] = host.known_hosts;
        if (!host.host_key.empty()) one["hostKey"] = host.host_key;
        if (host.agent) one["sshAgent"] = true;
        for (const auto& tree : host.shared) one["shared"].push_back(to_string(tree));
        json["hosts"][name] = std::move(one);
    }
    try {
        return json.dump(2) + "\n";
    } catch (const Json::exception&) {
        throw Error(ErrorKind::invalid, "write the hosts: a path is not UTF-8");
    }
}

}  // namespace locald::backends
