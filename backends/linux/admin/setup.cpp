#include "backends/linux/admin/setup.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <functional>
#include <optional>

#include "backends/linux/admin/host_rules.hpp"
#include "backends/linux/admin/installations.hpp"
#include "backends/linux/admin/installed_shim.hpp"
#include "backends/linux/admin/places.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/admin/states_room.hpp"
#include "backends/linux/admin/subids.hpp"
#include "backends/linux/admin/work.hpp"
#include "backends/linux/shim_policy.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/lock.hpp"

namespace locald::backends {

namespace {

using admin::Work;

/// A dry run only looks, which anybody may.
void check_root(const std::string& verb, const runtime::SetupOptions& options) {
    if (options.dry_run || (::getuid() == 0 && ::geteuid() == 0)) return;
    const char* what =
        verb == "remove" ? "remove the installed locald-shim and what belongs to it" : "set up this host";
    throw Error(ErrorKind::denied, std::string(what) + ": only root may").with_remedy("sudo locald admin " + verb);
}

void check_options(const runtime::SetupOptions& options) {
    if (!options.prefix.starts_with('/') || clean_path(options.prefix) != options.prefix) {
        throw Error(ErrorKind::invalid, "--prefix " + json_quote(options.prefix) + " is no clean absolute path");
    }
    const auto number = parse_u64(options.max_user_namespaces);
    if (!options.max_user_namespaces.empty() && (!number || *number == 0 || *number > INT32_MAX)) {
        throw Error(ErrorKind::invalid, "--set-max-user-namespaces " + json_quote(options.max_user_namespaces) +
                                            " is no number from 1 to 2147483647");
    }
}

/// Where setup puts nothing; `status` and `remove` look there all the same.
void check_new_place(const runtime::SetupOptions& options) {
    const auto is_control = [](unsigned char byte) { return byte < ' ' || byte == 0x7f; };
    if (std::any_of(options.prefix.begin(), options.prefix.end(), is_control)) {
        throw Error(ErrorKind::invalid, "--prefix " + json_quote(options.prefix) + " has a control character");
    }
    if (options.prefix == "/") {
        throw Error(ErrorKind::invalid, "--prefix / would put a libexec beside /usr")
            .with_remedy("say --prefix /usr/local");
    }
    // Room for the longest name below it: else a part of the tree is made before a path is too long.
    if (options.prefix.size() > PATH_MAX / 2) {
        throw Error(ErrorKind::invalid, "--prefix has " + std::to_string(options.prefix.size()) +
                                            " bytes, more than the " + std::to_string(PATH_MAX / 2) + " of a place");
    }
}

/// Nothing that we inherited may end a step half-way or decide on a mode: limits, signals, the umask, the directory.
void settle() {
    for (const auto limit : {RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE, RLIMIT_CPU}) {
        rlimit now{};
        if (::getrlimit(limit, &now) != 0) continue;
        // NOFILE has a ceiling of the kernel's; the caller's own hard limit is enough of it.
        const rlimit whole =
            limit == RLIMIT_NOFILE ? rlimit{now.rlim_max, now.rlim_max} : rlimit{RLIM_INFINITY, RLIM_INFINITY};
        const rlimit soft{now.rlim_max, now.rlim_max};
        if (::setrlimit(limit, &whole) != 0) ::setrlimit(limit, &soft);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    std::signal(SIGXFSZ, SIG_IGN);  // a write says EFBIG then
    std::signal(SIGPIPE, SIG_IGN);
    ::umask(022);
    if (::chdir("/") != 0) throw_errno(errno, "go to /");
}

/// One setup at a time. The file is root's alone, or anybody could hold its lock.
std::optional<host::FileLock> lock(const Work& work) {
    if (!work.acts()) return std::nullopt;
    admin::make_base(work);
    admin::read_root_file(work.base() + "/.lock");  // no link
    auto held = host::FileLock::try_acquire(work.base() + "/.lock");
    if (!held) throw Error(ErrorKind::unavailable, "another `locald admin` is at work on " + work.base());
    return held;
}

/// Setup writes no policy: it says which one holds.
void tell_policy(const Work& work, const std::string& shim) {
    try {
        const std::string words = shim_policy_in_words(shim);
        if (work.looks()) {
            work.see_to("shim.policy", true, {words, {}}, {}, {});
        } else {
            work.note("shim.policy", words);
        }
    } catch (const Error& e) {
        if (::geteuid() != 0 && ::access(shim_policy_file, R_OK) != 0 && errno == EACCES) {
            work.note("shim.policy", std::string("only root may read ") + shim_policy_file);
            return;
        }
        work.wrong("shim.policy", "every start of ordinary users is refused: " + e.message(),
                   e.remedy().empty() ? std::string("put ") + shim_policy_file +
                                            " right; `locald-shim policy` reads it as a start does"
                                      : e.remedy());
    }
}

/// Nothing while the policy is broken: every start is refused then, and tell_policy says why.
std::optional<SharedLimits> limits_of(const std::string& shim) {
    try {
        return shim_policy_limits(shim);
    } catch (const Error&) {
        return std::nullopt;
    }
}

/// What only root may look at ends an ordinary user's dry run.
void as_far_as_allowed(const std::string& verb, const std::function<void()>& body) {
    try {
        body();
    } catch (Error& e) {
        if (e.os_errno() == EACCES && ::geteuid() != 0) e.with_remedy("sudo locald admin " + verb + " --dry-run");
        throw;
    }
}

}  // namespace

void LinuxSetup::set_up(const runtime::SetupOptions& options, const runtime::SetupSink& sink) {
    as_far_as_allowed("setup", [&] { set_up_host(options, sink); });
}

void LinuxSetup::remove(const runtime::SetupOptions& options, const runtime::SetupSink& sink) {
    as_far_as_allowed("remove", [&] { remove_from_host(options, sink); });
}

void LinuxSetup::set_up_host(const runtime::SetupOptions& options, const runtime::SetupSink& sink) const {
    check_root("setup", options);
    check_options(options);
    check_new_place(options);
    const auto source = admin::read_shim_source(shim_);
    settle();
    const Work work(options, options.dry_run ? Work::Deed::promise : Work::Deed::act, sink);
    // A dry pass over what can be refused comes first, so that a refusal has changed nothing.
    const std::string forbidden = admin::why_no_user_namespaces(!options.max_user_namespaces.empty());
    if (work.acts()) admin::see_to_shim(Work(options, Work::Deed::promise, [](const auto&) {}), source, forbidden);
    const bool is_first = work.acts() && !admin::open_root_directory(work.base(), false).exists &&
                          admin::other_installations(work).empty();
    const auto held = lock(work);
    if (is_first) admin::mark_others_cgroups();
    admin::see_to_max_user_namespaces(work);
    if (work.acts()) admin::remember_installation(work);
    admin::see_to_shim(work, source, forbidden);
    admin::see_to_apparmor(work);
    admin::see_to_selinux(work);
    if (admin::has_systemd()) {
        admin::see_to_units(work);
    } else {
        admin::see_to_cgroups(work, limits_of(source.path));
        admin::see_to_states(work);
    }
    admin::see_to_former_users(work, options.group.empty() ? admin::group_of_installed(work) : options.group);
    admin::see_to_subids(work);
    tell_policy(work, source.path);
}

void LinuxSetup::status(const runtime::SetupOptions& options, const runtime::SetupSink& sink) {
    check_options(options);
    const Work work(options, Work::Deed::look, sink);
    // What this user may not look at is said, and the rest goes on.
    const auto look = [&](const char* id, const auto& body) {
        try {
            body();
        } catch (const Error& e) {
            if (e.os_errno() == EACCES && ::geteuid() != 0) {
                work.note(id, "this user may not " + e.message(), "sudo locald admin status");
                return;
            }
            sink({id, runtime::SetupStep::State::missing, e.message(), e.remedy()});
        }
    };
    look("shim.installed", [&] { admin::see_to_shim(work, admin::read_shim_source(shim_), {}); });
    look("shim.policy", [&] { tell_policy(work, admin::read_shim_source(shim_).path); });
    look("userns.max", [&] { admin::see_to_max_user_namespaces(work); });
    if (const auto why = admin::why_no_user_namespaces(); !why.empty()) work.note("userns.allowed", why);
    look("lsm.apparmor", [&] { admin::see_to_apparmor(work); });
    look("lsm.selinux", [&] { admin::see_to_selinux(work); });
    look("run.room", [&] { admin::tell_room_of_states(work); });
    if (admin::has_systemd()) {
        look("systemd.unit", [&] { admin::see_to_units(work); });
    } else {
        look("cgroup.tree", [&] { admin::see_to_cgroups(work, std::nullopt); });
        look("run.states", [&] { admin::see_to_states(work); });
    }
    if (::geteuid() == 0)
        look("cgroup.users", [&] { admin::see_to_former_users(work, admin::group_of_installed(work)); });
    look("ids.shared", [&] { admin::tell_shared_ranges(work); });
}

void LinuxSetup::remove_from_host(const runtime::SetupOptions& options, const runtime::SetupSink& sink) {
    check_root("remove", options);
    check_options(options);
    settle();
    const Work work(options, options.dry_run ? Work::Deed::promise : Work::Deed::act, sink);
    bool installed = false;
    try {
        installed = admin::open_root_directory(work.base(), false).exists;
    } catch (const Error&) {
        installed = false;  // the step that removes the shim says so
    }
    const auto held = installed ? lock(work) : std::nullopt;
    // Each by itself: one that fails, and be it by what a user did, keeps no later one from going.
    std::optional<Error> failed;
    const auto go = [&](void (*step)(const Work&)) {
        try {
            step(work);
        } catch (const Error& e) {
            if (failed) work.note("remove.failed", e.message(), e.remedy());
            if (!failed) failed = e;
        }
    };
    go(admin::remove_shim);
    go(admin::remove_apparmor);
    if (work.acts() && !failed) go(admin::forget_installation);
    if (const auto others = admin::other_installations(work); !others.empty()) {
        work.note("shim.others", others.front() +
                                     "/locald-shim is installed as well: cgroups, /run/locald, units and "
                                     "settings of the kernel are for it, too, and stay");
    } else {
        for (const auto step :
             {admin::remove_max_user_namespaces, admin::remove_units, admin::remove_cgroups, admin::remove_states}) {
            go(step);
        }
    }
    if (failed) throw Error(*failed);
}

}  // namespace locald::backends
