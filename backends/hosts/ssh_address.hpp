#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace locald::backends {

/// `ssh://[user@]host[:port]` as the user wrote it; what he left out is empty or 0. What a named host says beside that
/// stands behind a question mark, so that one text says how to get there and names the kept connection.
struct SshAddress {
    std::string user, host;
    unsigned port = 0;
    std::string identity;     ///< a private key; else those of ssh_config
    std::string known_hosts;  ///< a file; else the user's and the system's
    std::string host_key;     ///< `[TYPE ]SHA256:…`, which alone counts then
    bool agent = false;       ///< ssh-agent may be asked for keys, with `identity` for that one alone
    /// `user@host:port` without what is not known.
    std::string str() const;
    /// All of it, as parse_ssh_address takes it.
    std::string text() const;
};

/// @throws Error(invalid) that names the text and what is wrong
SshAddress parse_ssh_address(std::string_view text);

/// @param where  for the error text
unsigned parse_ssh_port(std::string_view text, const std::string& where);

}  // namespace locald::backends
