#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// A host that the user gave a name.
struct NamedHost {
    std::string url;  ///< `ssh://…` without what stands below
    std::string identity, known_hosts, host_key;
    bool agent = false;  ///< SshAddress::agent
    std::vector<runtime::SharedTree> shared;
    /// As parse_ssh_address takes it.
    std::string address() const;
};

/// The user's hosts and the one that commands go to when nothing else is said.
struct NamedHosts {
    std::map<std::string, NamedHost, std::less<>> hosts;
    std::string in_use;  ///< empty: this host
    /// @throws Error(not_found) that lists the names there are
    const NamedHost& get(std::string_view name) const;
    /// What a user means by `text`: nothing and `local` are this host, `ssh://…` and whatever cannot be a name is an
    /// address, all else a name. @return an address; empty for this host
    std::string address_of(std::string_view text) const;
    /// The trees that the host which a user means by `text` sees of this one; an address alone has none.
    std::vector<runtime::SharedTree> shared_with(std::string_view text) const;
    /// The name of a host with this address; empty when there is none.
    std::string name_of(std::string_view address) const;
};

/// The word for this host, which no other can have as its name.
inline constexpr std::string_view local_host = "local";

/// `[a-z0-9A-Z][a-z0-9A-Z_.-]*`, at most 64 characters.
bool is_host_name(std::string_view text) noexcept;

/// `SHA256:…`, as ssh-keygen prints it, with or without a type in front, or a line of a .pub file or of known_hosts'
/// second and third column: as NamedHost has it. @throws Error(invalid)
std::string parse_host_key(std::string_view text);

/// @param path  for error texts
/// @throws Error(corrupt) that names the file, the place and what is expected
NamedHosts parse_named_hosts(std::string_view text, const std::string& path);
std::string write_named_hosts(const NamedHosts& hosts);

/// `$XDG_CONFIG_HOME/locald/hosts.json`.
std::string named_hosts_path();
/// None when there is no file. @throws Error when it cannot be read, or others may write it
NamedHosts read_named_hosts(const std::string& path);
/// The same of this user; none when he has no home.
NamedHosts read_own_named_hosts();
/// Reads, changes and replaces the file, one process at a time; when `change` throws nothing has happened.
void change_named_hosts(const std::string& path, const std::function<void(NamedHosts&)>& change);

}  // namespace locald::backends
