#pragma once

#include <string>

namespace locald::shim {

/// The words of the setuid prologue and of the reader of shim.conf with what would be allowed instead: they are short
/// there, because that code has root's rights and no library.
std::string explained(const std::string& words);
/// What to do about a place of the caller's that root could not make for him, from "; " on; empty when it is no such.
std::string remedy_for_place(const std::string& words, int error);

/// Why a caller who is not in the group of shim.conf is refused.
std::string members_only(const std::string& group);

/// True when a group of shim.conf is a number that no line of /etc/group has.
bool is_nameless_group(const std::string& group);

}  // namespace locald::shim
