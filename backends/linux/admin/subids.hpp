#pragma once

#include <string>

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// True when /etc/passwd's text has this name.
bool is_local_user(const std::string& passwd, const std::string& name);

/// The ranges of a user of a directory service (LDAP, SSSD), whom `useradd` never saw: whoever typed `sudo`.
void see_to_subids(const Work& work);

/// Ranges of /etc/subuid and /etc/subgid that two users have: nothing that setup changes.
void tell_shared_ranges(const Work& work);

}  // namespace locald::backends::admin
