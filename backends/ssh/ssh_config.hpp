#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace locald::backends {

/// What ssh_config(5) says about one host.
struct SshHostConfig {
    std::string host_name, user;
    unsigned port = 0;
    std::vector<std::string> identity_files;  ///< with `~`, `%d`, `%h`, `%u`, `%r`, `%%` put in
    std::string identity_agent;               ///< empty: nothing is said; `none`, SSH_AUTH_SOCK, `$NAME` or a path
    std::string proxy_jump;                   ///< empty or `none`: no jump
};

/// What the text says about `host`: as in OpenSSH the first value of a keyword counts, and IdentityFile adds up. Known
/// are Host (with `*`, `?` and `!`), HostName, User, Port, IdentityFile, IdentityAgent and ProxyJump; a Match block
/// other than `Match all` applies to nobody, other keywords are passed over.
/// @param path  for error texts
/// @throws Error(invalid) that names the line
void read_ssh_config(std::string_view text, const std::string& path, const std::string& host, SshHostConfig& config);

/// `*` and `?`, as in a Host line.
bool matches_pattern(std::string_view text, std::string_view pattern) noexcept;

}  // namespace locald::backends
