#pragma once

namespace locald::backends {

/// Whether a user namespace is worth something to this process: Ubuntu lets a program without a profile of AppArmor's
/// make one and forbids it everything inside.
/// @return 0, or the errno of a mount in a new one
int try_rights_in_user_namespace();

}  // namespace locald::backends
