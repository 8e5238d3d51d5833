#pragma once

#include <cstdint>
#include <string>

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// The first id above every range in these texts of /etc/subuid and /etc/subgid, at a multiple of 65536.
std::uint64_t first_free_subid(const std::string& subuid, const std::string& subgid);

/// True when /etc/passwd's text has this name.
bool is_local_user(const std::string& passwd, const std::string& name);

/// The ranges of a user of a directory service (LDAP, SSSD), whom `useradd` never saw: whoever typed `sudo`.
void see_to_subids(const Work& work);

}  // namespace locald::backends::admin
