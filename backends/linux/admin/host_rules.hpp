#pragma once

#include <string>

#include "backends/linux/admin/work.hpp"

namespace locald::backends::admin {

/// Why an ordinary user cannot make a user namespace here, by the rule's name; empty when he can.
/// @param but_for_number  as if user.max_user_namespaces were not 0
std::string why_no_user_namespaces(bool but_for_number = false);
/// The same for root as well: no setuid shim helps then.
bool nobody_makes_user_namespaces();

/// user.max_user_namespaces, which is changed only when a number was given.
void see_to_max_user_namespaces(const Work& work);
void see_to_apparmor(const Work& work);
void see_to_selinux(const Work& work);

void remove_max_user_namespaces(const Work& work);
void remove_apparmor(const Work& work);

}  // namespace locald::backends::admin
