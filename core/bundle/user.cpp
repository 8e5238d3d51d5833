#include <algorithm>
#include <array>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle {

namespace {

/// Above it an id was read as a negative number and wrapped to root (CVE-2024-40635).
constexpr std::uint64_t most_id = std::numeric_limits<std::int32_t>::max();
/// NGROUPS_MAX of the kernel: setgroups(2) takes no more.
constexpr std::size_t most_groups = 65536;

bool is_number(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) noexcept { return c >= '0' && c <= '9'; });
}

std::optional<std::uint32_t> find_id(std::string_view text) noexcept {
    const auto value = parse_u64(text);
    if (!value || *value > most_id) return std::nullopt;
    return static_cast<std::uint32_t>(*value);
}

std::uint32_t id_of(std::string_view text, std::string_view what, const std::string& user) {
    if (const auto id = find_id(text)) return *id;
    throw Error(ErrorKind::invalid,
                "user \"" + user + "\": " + std::string(what) + " " + std::string(text) + " is outside 0..2147483647");
}

/// Calls `each` with the first N fields of every line that has as many, until it returns true. A text of any length is
/// walked once and nothing of it is kept.
template <std::size_t N, class F>
void each_line(std::string_view text, F&& each) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        std::array<std::string_view, N> fields;
        std::size_t count = 0;
        while (count < N) {
            const auto colon = line.find(':');
            fields[count++] = line.substr(0, colon);
            if (colon == std::string_view::npos) break;
            line.remove_prefix(colon + 1);
        }
        if (count == N && each(fields)) return;
    }
}

struct PasswdEntry {
    std::string_view name, home;
    std::uint32_t uid = 0, gid = 0;
};

/// passwd(5): name:password:uid:gid:comment:home:shell. Lines whose ids are out of range name nobody.
template <class F>
std::optional<PasswdEntry> find_passwd(const AccountFiles& accounts, F&& wanted) {
    std::optional<PasswdEntry> found;
    each_line<6>(accounts.passwd, [&](const std::array<std::string_view, 6>& fields) {
        const auto uid = find_id(fields[2]);
        const auto gid = find_id(fields[3]);
        if (!uid || !gid || fields[0].empty()) return false;
        const PasswdEntry entry{fields[0], fields[5], *uid, *gid};
        if (!wanted(entry)) return false;
        found = entry;
        return true;
    });
    return found;
}

/// group(5): name:password:gid:members.
template <class F>
void each_group(const AccountFiles& accounts, F&& each) {
    each_line<4>(accounts.group, [&](const std::array<std::string_view, 4>& fields) {
        const auto gid = find_id(fields[2]);
        return gid && !fields[0].empty() && each(fields[0], *gid, fields[3]);
    });
}

std::uint32_t group_id(const std::string& group, const AccountFiles& accounts, const std::string& user) {
    if (is_number(group)) return id_of(group, "group", user);
    std::optional<std::uint32_t> found;
    each_group(accounts, [&](std::string_view name, std::uint32_t gid, std::string_view) {
        if (name == group) found = gid;
        return found.has_value();
    });
    if (found) return *found;
    throw Error(ErrorKind::not_found, "user \"" + user + "\": no group " + group + " in the image's /etc/group")
        .with_remedy("give the group as a number");
}

/// True when `name` is one of the names between the commas. No copy is made: the list may be as long as the file.
bool lists(std::string_view members, std::string_view name) noexcept {
    for (;;) {
        const auto comma = members.find(',');
        if (members.substr(0, comma) == name) return true;
        if (comma == std::string_view::npos) return false;
        members.remove_prefix(comma + 1);
    }
}

std::vector<std::uint32_t> supplementary_groups(std::string_view name, std::uint32_t primary,
                                                const AccountFiles& accounts) {
    std::vector<std::uint32_t> gids;
    each_group(accounts, [&](std::string_view, std::uint32_t gid, std::string_view members) {
        if (gid == primary || !lists(members, name)) return false;
        gids.push_back(gid);
        if (gids.size() <= most_groups) return false;
        throw Error(ErrorKind::invalid, "user \"" + std::string(name) +
                                            "\": the image's /etc/group puts it into more than " +
                                            std::to_string(most_groups) + " groups");
    });
    std::sort(gids.begin(), gids.end());
    gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
    return gids;
}

}  // namespace

ResolvedUser resolve_user(const std::string& user, const AccountFiles& accounts) {
    parts::refuse_nul(user, "user");
    const auto colon = user.find(':');
    const std::string name = user.substr(0, colon);
    const std::string group = colon == std::string::npos ? std::string() : user.substr(colon + 1);
    if (group.find(':') != std::string::npos) {
        throw Error(ErrorKind::invalid, "user \"" + user + "\": expected user, uid, user:group or uid:gid");
    }
    if (name.starts_with('-') || name.starts_with('+') || group.starts_with('-') || group.starts_with('+')) {
        throw Error(ErrorKind::invalid, "user \"" + user + "\": an id is a number from 0 to 2147483647 without a sign");
    }

    ResolvedUser resolved;
    resolved.home = "/";
    const bool by_number = name.empty() || is_number(name);
    if (by_number) resolved.uid = name.empty() ? 0 : id_of(name, "uid", user);
    const auto entry = find_passwd(
        accounts, [&](const PasswdEntry& one) { return by_number ? one.uid == resolved.uid : one.name == name; });
    if (!entry && !by_number) {
        throw Error(ErrorKind::not_found, "user \"" + user + "\": no user " + name + " in the image's /etc/passwd")
            .with_remedy("give the user as a number, or build the image with this user");
    }
    if (entry) {
        resolved.uid = entry->uid;
        resolved.gid = entry->gid;
        if (entry->home.starts_with('/') && entry->home.find('\0') == std::string_view::npos) {
            resolved.home = std::string(entry->home);
        }
    }
    if (!group.empty()) {
        resolved.gid = group_id(group, accounts, user);
    } else if (entry) {
        resolved.additional_gids = supplementary_groups(entry->name, entry->gid, accounts);
    }
    return resolved;
}

namespace parts {

namespace {

/// The caller's own id under keep-id: the one that is the same inside and outside.
std::optional<std::uint32_t> kept_id(const std::vector<oci::IdMapping>& mappings) {
    for (const auto& one : mappings) {
        if (one.size == 1 && one.container_id == one.host_id) return one.container_id;
    }
    return std::nullopt;
}

std::string wanted_user(const Plan& plan) {
    if (!plan.options.user.empty()) return plan.options.user;
    if (plan.image != nullptr && !plan.image->user.empty()) return plan.image->user;
    if (plan.options.userns != UserNamespaceMode::keep_id) return {};
    const auto uid = kept_id(plan.host.uid_mappings);
    const auto gid = kept_id(plan.host.gid_mappings);
    return uid && gid ? std::to_string(*uid) + ":" + std::to_string(*gid) : std::string();
}

void check_mapped(const char* what, std::uint32_t id, const std::vector<oci::IdMapping>& mappings,
                  const HostFacts& host) {
    if (is_mapped(id, mappings)) return;
    Error error(ErrorKind::unsupported,
                std::string("run as ") + what + " " + std::to_string(id) + ": the user namespace does not map this id");
    if (host.full_map) {
        error.with_remedy("widen the caller's range in /etc/subuid and /etc/subgid, or choose another user with -u");
    } else {
        error.with_remedy("get more ids: " + host.more_ids + "; or run as the one that is mapped, -u " +
                          std::to_string(mappings.front().container_id));
    }
    throw error;
}

}  // namespace

bool is_mapped(std::uint32_t id, const std::vector<oci::IdMapping>& mappings) noexcept {
    return mappings.empty() || std::any_of(mappings.begin(), mappings.end(), [id](const oci::IdMapping& one) noexcept {
               return id >= one.container_id && id - one.container_id < one.size;
           });
}

ResolvedUser choose_user(Plan& plan) {
    ResolvedUser user = resolve_user(wanted_user(plan), plan.accounts);
    if (!plan.user_namespace()) return user;
    check_mapped("uid", user.uid, plan.host.uid_mappings, plan.host);
    check_mapped("gid", user.gid, plan.host.gid_mappings, plan.host);
    const std::size_t before = user.additional_gids.size();
    std::erase_if(user.additional_gids, [&](std::uint32_t gid) {
        // Without a full map the kernel denies setgroups altogether.
        return !plan.host.full_map || !is_mapped(gid, plan.host.gid_mappings);
    });
    // Root's extra groups give him nothing that he has not got, so their loss is not worth a line.
    if (user.additional_gids.size() != before && user.uid != 0) {
        plan.warnings.push_back(std::to_string(before - user.additional_gids.size()) +
                                " supplementary groups of user " + std::to_string(user.uid) +
                                " are lost: the user namespace does not map them");
    }
    return user;
}

}  // namespace parts

}  // namespace locald::bundle
