#include "backends/linux/admin/host_rules.hpp"

#include <unistd.h>

#include "backends/linux/admin/installations.hpp"
#include "backends/linux/admin/root_command.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

constexpr const char* most_namespaces = "/proc/sys/user/max_user_namespaces";
constexpr const char* sysctl_file = "/etc/sysctl.d/60-locald.conf";
constexpr const char* apparmor_file = "/etc/apparmor.d/locald-shim";

bool has_apparmor() { return kernel_text("/sys/module/apparmor/parameters/enabled") == "Y"; }

bool apparmor_restricts() { return kernel_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"; }

/// Ubuntu's way of letting one program make user namespaces: nothing else of it is confined.
std::string apparmor_profile(const std::string& base) {
    const bool abi4 = ::access("/etc/apparmor.d/abi/4.0", F_OK) == 0;
    return std::string("# Written by `locald admin setup`; `locald admin remove` takes it away.\n") +
           (abi4 ? "abi <abi/4.0>,\n" : "") + "include <tunables/global>\n\nprofile locald-shim " + base +
           "/{,*/}locald-shim flags=(unconfined) {\n  userns,\n}\n";
}

}  // namespace

bool nobody_makes_user_namespaces() { return kernel_text(most_namespaces) == "0"; }

std::string why_no_user_namespaces(bool but_for_number) {
    const std::string what = "this host lets no ordinary user make a user namespace (";
    if (kernel_text("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
        return what + "kernel.unprivileged_userns_clone=0)";
    }
    if (apparmor_restricts()) return what + "kernel.apparmor_restrict_unprivileged_userns=1)";
    if (!but_for_number && nobody_makes_user_namespaces()) return what + "user.max_user_namespaces=0)";
    return {};
}

void see_to_max_user_namespaces(const Work& work) {
    const std::string& number = work.options().max_user_namespaces;
    if (number.empty()) {
        if (!nobody_makes_user_namespaces()) return;
        work.note("userns.max", "user.max_user_namespaces=0: nobody, root included, makes a user namespace here",
                  "sudo locald admin setup --set-max-user-namespaces 15000");
        return;
    }
    const std::string text =
        "# Written by `locald admin setup --set-max-user-namespaces`.\nuser.max_user_namespaces = " + number + "\n";
    const bool is_so = kernel_text(most_namespaces) == number && read_root_file(sysctl_file) == text;
    work.see_to("userns.max", is_so,
                {std::string("user.max_user_namespaces is ") + number + ", also by " + sysctl_file,
                 std::string("user.max_user_namespaces is not ") + number + ", or not by " + sysctl_file},
                "sudo locald admin remove", [&] {
                    posix::write_all(posix::open(most_namespaces, O_WRONLY), number, most_namespaces);
                    write_root_file(sysctl_file, text);
                });
}

void remove_max_user_namespaces(const Work& work) {
    if (!read_root_file(sysctl_file)) return;
    work.see_away("userns.max", false, sysctl_file, {}, [] { remove_root_file(sysctl_file); });
    work.note("userns.max", "user.max_user_namespaces keeps its number until the next start of the host");
}

void see_to_apparmor(const Work& work) {
    if (!has_apparmor() || ::access("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", F_OK) != 0) return;
    const std::string text = apparmor_profile(work.base());
    const std::string parser = find_root_program("apparmor_parser");
    const auto found = read_root_file(apparmor_file);
    work.see_to("lsm.apparmor", found == text,
                {std::string(apparmor_file) + " lets the installed shim make user namespaces",
                 std::string(apparmor_file) + (found ? " is not what setup writes: another place of the shim, perhaps"
                                                     : " is not there: it would let the shim make user namespaces")},
                "sudo locald admin remove", [&] {
                    write_root_file(apparmor_file, text);
                    if (!parser.empty()) run_root_program({parser, "--replace", apparmor_file});
                });
    if (parser.empty())
        work.note("lsm.apparmor", "apparmor_parser is not here: the profile is in force when it is loaded");
}

void remove_apparmor(const Work& work) {
    const auto found = read_root_file(apparmor_file);
    if (!found) return;
    if (found != apparmor_profile(work.base()) && !other_installations(work).empty()) {
        work.note("lsm.apparmor", std::string(apparmor_file) + " is for a shim in another place: it stays");
        return;
    }
    work.see_away("lsm.apparmor", false, apparmor_file, {}, [] {
        const std::string parser = find_root_program("apparmor_parser");
        // One that was never loaded is no reason to keep the file.
        if (!parser.empty()) try_root_program({parser, "--remove", apparmor_file});
        remove_root_file(apparmor_file);
    });
}

void see_to_selinux(const Work& work) {
    if (kernel_text("/sys/fs/selinux/enforce").empty()) return;
    const std::string restorecon = find_root_program("restorecon");
    const std::string command = "restorecon -RF " + work.base();
    if (restorecon.empty() || !work.acts()) {
        work.note("lsm.selinux", "SELinux is on: the installed shim needs the label of its place", "sudo " + command);
        return;
    }
    run_root_program({restorecon, "-RF", work.base()});
    work.note("lsm.selinux", "SELinux is on: " + command + " has given the installed shim the label of its place");
}

}  // namespace locald::backends::admin
