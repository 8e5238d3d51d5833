#include "shim/namespaces/given_user.hpp"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

void adopt_map(std::vector<oci::IdMapping>& config, const char* text, const std::string& field) {
    const auto given = parse_id_map(text);
    if (config.empty()) config = given;
    const auto less = [](const auto& a, const auto& b) { return a.container_id < b.container_id; };
    auto sorted = config;
    auto sorted_given = given;
    std::sort(sorted.begin(), sorted.end(), less);
    std::sort(sorted_given.begin(), sorted_given.end(), less);
    if (sorted == sorted_given) return;
    std::string shown(trim(text));
    std::replace(shown.begin(), shown.end(), '\n', ',');
    throw Error(ErrorKind::denied,
                field +
                    ": the setuid locald-shim maps the caller to 0 and what /etc/subuid and /etc/subgid grant him "
                    "to 1 and up (or around his own id, with --keep-id), and nothing else")
        .with_remedy("leave " + field + " out, or give (container, host, size): " + shown);
}

}  // namespace

bool gives_maps() noexcept { return locald_rights.mode == locald_was_setuid; }

posix::UniqueFd given_user_namespace() {
    if (locald_rights.user_namespace < 0) return {};
    posix::UniqueFd fd(::fcntl(locald_rights.user_namespace, F_DUPFD_CLOEXEC, 3));
    if (!fd) throw_errno(errno, "copy the descriptor of the caller's user namespace");
    return fd;
}

void adopt_given_user_namespace(oci::Linux& config) {
    if (locald_rights.user_namespace < 0) return;
    const auto user = std::find_if(config.namespaces.begin(), config.namespaces.end(),
                                   [](const auto& entry) { return entry.type == "user"; });
    if (user != config.namespaces.end() && !user->path.empty()) return;
    if (user == config.namespaces.end()) {
        oci::Namespace entry;
        entry.type = "user";
        config.namespaces.push_back(entry);
    }
    adopt_map(config.uid_mappings, locald_rights.uid_map, "linux.uidMappings");
    adopt_map(config.gid_mappings, locald_rights.gid_map, "linux.gidMappings");
}

void join_given_user_namespace(NamespacePlan& plan) {
    if (locald_rights.user_namespace < 0 || !plan.is_new(CLONE_NEWUSER)) return;
    plan.fresh &= ~static_cast<std::uint64_t>(CLONE_NEWUSER);
    plan.joined.push_back({CLONE_NEWUSER, "user", "of the caller", given_user_namespace()});
}

}  // namespace locald::shim
