#pragma once

#include <optional>
#include <string>

namespace locald::backends {

/// A Unix socket at `path` that only this user can reach: its directory must be his alone (ensure_private_directory).
/// What a process left that is gone is replaced. @throws Error
int listen_at(const std::string& path);
/// A connection to it. @throws Error(denied) when somebody else listens there, Error(unavailable) when nobody does
int reach_listener(const std::string& path);
/// The same, or nothing.
std::optional<int> connect_to(const std::string& path);
/// A waiting connection of this user's, or -1: another user's is closed at once.
int accept_own_user(int listener) noexcept;

}  // namespace locald::backends
