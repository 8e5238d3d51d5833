#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace locald::posix {

/// The grants of one user in the text of /etc/subuid or /etc/subgid, in file order. Lines are matched by name and by
/// number; lines of another form are passed over. @see subuid(5)
struct IdRange {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
};
std::vector<IdRange> parse_subid(const std::string& text, const std::string& user, std::uint32_t id);

/// A range that no line of these texts of /etc/subuid and /etc/subgid has: above all of them, at a multiple of its
/// size.
/// @param login_defs  the text of /etc/login.defs: SUB_UID_MIN and SUB_UID_COUNT
/// @return nothing when there is no room left
std::optional<IdRange> free_subid_range(const std::string& subuid, const std::string& subgid,
                                        const std::string& login_defs);

/// What root types so that a user of /etc/passwd has a range that is free now; empty when there is no room.
std::string subid_command(const std::string& user);

/// Two lines of one file that give the same ids to two users.
struct SubidOverlap {
    std::string one, other;  ///< as the lines name them
    std::uint64_t first = 0, last = 0;
    std::string str() const;  ///< "ann and bob have the ids 100000 to 165535"
};
/// @param same_user  whether two owners, by name or by number, are one user
std::vector<SubidOverlap> subid_overlaps(const std::string& text,
                                         bool (*same_user)(const std::string& one, const std::string& other));

/// The same for a file of this host.
std::vector<SubidOverlap> subid_overlaps_in(const char* path);

/// The name of a user by the text of /etc/passwd, without NSS (a static program must not load its modules); empty when
/// unknown.
std::string user_name(uid_t uid);

}  // namespace locald::posix
