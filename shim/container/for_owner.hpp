#pragma once

#include <string>

namespace locald::shim {

/// Where root names the state directory of a user's, /run/locald/<uid>, this process becomes that user, for good and
/// before it reads anything there: what is in it was written by him, and must move nothing that is not his.
/// Elsewhere nothing. For verbs that start no program.
void become_owner_of(const std::string& root);

/// True after that: no program of the user's, a hook say, may run then. It would be in root's session and cgroup.
bool is_for_owner() noexcept;

}  // namespace locald::shim
