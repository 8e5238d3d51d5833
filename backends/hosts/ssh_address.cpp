#include "backends/hosts/ssh_address.hpp"

#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~/:").find(c) != std::string_view::npos;
}

std::string percent_encoded(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (is_unreserved(c)) {
            result += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        result += {'%', hex_digits[byte >> 4U], hex_digits[byte & 15U]};
    }
    return result;
}

/// Nothing when a `%` is not followed by two digits.
std::optional<std::string> percent_decoded(std::string_view text) {
    const auto digit = [](char c) {
        return hex_digits.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c);
    };
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = digit(text[i + 1]), low = digit(text[i + 2]);
        if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
        result += static_cast<char>(high << 4U | low);
        i += 2;
    }
    return result;
}

struct Word {
    std::string_view name;
    std::string SshAddress::*value;
};
constexpr std::array words{Word{"identity", &SshAddress::identity}, Word{"known-hosts", &SshAddress::known_hosts},
                           Word{"host-key", &SshAddress::host_key}};
constexpr std::string_view agent_word = "agent";

template <class Fail>
void take_word(SshAddress& address, std::string_view text, const Fail& fail) {
    const auto equals = text.find('=');
    const auto value = percent_decoded(equals == std::string_view::npos ? "" : text.substr(equals + 1));
    for (const auto& word : words) {
        if (text.substr(0, equals) != word.name) continue;
        if (!value || value->empty()) throw fail(std::string(word.name) + " has no value that can be read");
        address.*word.value = *value;
        return;
    }
    if (text.substr(0, equals) == agent_word) {
        if (value != "yes" && value != "no") throw fail("agent is neither yes nor no");
        address.agent = value == "yes";
        return;
    }
    throw fail(json_quote(text) + " behind the question mark is none of identity, known-hosts, host-key and agent");
}

}  // namespace

unsigned parse_ssh_port(std::string_view text, const std::string& where) {
    constexpr std::uint64_t highest = 65535;
    const auto port = parse_u64(text);
    if (!port || *port == 0 || *port > highest) {
        throw Error(ErrorKind::invalid, where + ": " + json_quote(text) + " is no port (1 to 65535)");
    }
    return static_cast<unsigned>(*port);
}

std::string SshAddress::str() const {
    std::string text = user.empty() ? "" : user + "@";
    text += host.find(':') != std::string::npos ? "[" + host + "]" : host;
    if (port != 0) text += ":" + std::to_string(port);
    return text;
}

std::string SshAddress::text() const {
    std::string text = "ssh://" + str();
    char before = '?';
    for (const auto& word : words) {
        if ((this->*word.value).empty()) continue;
        text += before + std::string(word.name) + "=" + percent_encoded(this->*word.value);
        before = '&';
    }
    if (agent) text += before + std::string(agent_word) + "=yes";
    return text;
}

SshAddress parse_ssh_address(std::string_view text) {
    const std::string where = "host " + json_quote(without_query(text.substr(0, 128)));
    const auto fail = [&](const std::string& why) -> Error {
        return Error(ErrorKind::invalid, where + ": " + why)
            .with_remedy("write ssh://USER@HOST or ssh://USER@HOST:PORT");
    };
    std::string_view rest = text;
    if (rest.starts_with("ssh://")) rest.remove_prefix(6);
    SshAddress address;
    if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
        for (const auto word : split(rest.substr(mark + 1), '&')) take_word(address, word, fail);
        rest = rest.substr(0, mark);
    }
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
        address.user = rest.substr(0, at);
        rest.remove_prefix(at + 1);
        if (address.user.empty()) throw fail("the user is empty");
        if (address.user.find(':') != std::string::npos) throw fail("a password does not belong into an address");
    }
    std::string_view port;
    if (rest.starts_with('[')) {
        const auto end = rest.find(']');
        if (end == std::string_view::npos) throw fail("a bracket is not closed");
        address.host = rest.substr(1, end - 1);
        port = rest.substr(end + 1);
        if (!port.empty() && !port.starts_with(':')) throw fail("what stands behind the bracket is no port");
    } else {
        const auto colon = rest.find(':');
        address.host = rest.substr(0, colon);
        port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
    }
    if (!port.empty()) address.port = parse_ssh_port(port.substr(1), where);
    const auto is_plain = [](std::string_view part) {
        return std::all_of(part.begin(), part.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   std::string_view("._-:%@\\+").find(c) != std::string_view::npos;
        });
    };
    if (address.host.empty()) throw fail("it has no name");
    // A name that begins with '-' would be an option of other programs.
    if (!is_plain(address.host) || !is_plain(address.user) || address.host.starts_with('-') ||
        address.user.starts_with('-')) {
        throw fail("it has characters that no host or user has");
    }
    return address;
}

}  // namespace locald::backends
