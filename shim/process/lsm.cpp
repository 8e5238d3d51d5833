#include "shim/process/lsm.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/procfs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/procfs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr const char* apparmor_exec = "thread-self/attr/apparmor/exec";
constexpr const char* any_exec = "thread-self/attr/exec";
constexpr const char* any_keycreate = "thread-self/attr/keycreate";

/// As engines look for it in an error text: the path in backquotes.
std::string quoted(const char* attribute) { return std::string("`/proc/") + attribute + "`"; }

bool apparmor_is_on() {
    const UniqueFd file(::open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC));
    char answer = 'N';
    return file && ::read(file.get(), &answer, 1) == 1 && answer == 'Y';
}

bool selinux_is_on() {
    struct statfs fs {};
    return ::statfs("/sys/fs/selinux", &fs) == 0 && fs.f_type == SELINUX_MAGIC;
}

void refuse_selinux(const std::string& field, const char* attribute) {
    throw Error(ErrorKind::unsupported, field + ": set " + quoted(attribute) +
                                            ": selinux label is specified in config, but selinux is disabled or not "
                                            "supported")
        .with_remedy("leave the field out on hosts without SELinux");
}

UniqueFd open_attribute(const UniqueFd& procfs, const char* attribute) {
    // thread-self is a plain link made of the thread's number; a magic one or another mount is nobody's business here.
    return posix::openat2(procfs, attribute, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

/// One write: the kernel takes the value of each write as a whole.
void write_attribute(const UniqueFd& file, const char* attribute, const std::string& value, const char* field) {
    if (::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) return;
    const int err = errno;
    Error error(
        kind_of_errno(err),
        std::string(field) + ": write " + json_quote(value) + " to " + quoted(attribute) + ": " + errno_text(err), err);
    if (err == ENOENT) error.with_remedy("no such profile is loaded: see /sys/kernel/security/apparmor/profiles");
    if (err == EINVAL) error.with_remedy("the loaded policy knows no such label");
    throw error;
}

void set_apparmor(const std::string& profile, const UniqueFd& procfs) {
    if (profile == "unconfined" && !apparmor_is_on()) return;
    const char* attribute = apparmor_exec;
    UniqueFd file;
    try {
        file = open_attribute(procfs, attribute);
    } catch (const Error& e) {
        if (e.os_errno() != ENOENT) throw;
        attribute = any_exec;  // kernels before the modules had a directory each
        file = open_attribute(procfs, attribute);
    }
    write_attribute(file, attribute, "exec " + profile, "process.apparmorProfile");
}

std::string context_type(const oci::Spec& spec) {
    static constexpr std::array<std::string_view, 4> known{"context", "fscontext", "defcontext", "rootcontext"};
    const auto found = spec.annotations.find("run.oci.mount_context_type");
    if (found == spec.annotations.end()) return "context";
    if (std::find(known.begin(), known.end(), found->second) == known.end()) {
        throw Error(ErrorKind::invalid,
                    "annotations[\"run.oci.mount_context_type\"]: unknown type " + json_quote(found->second))
            .with_remedy("use context, fscontext, defcontext or rootcontext");
    }
    return found->second;
}

/// SELinux labels files of these by mount option; proc, sysfs, mqueue and cgroup have labels of the policy's.
bool takes_label(const oci::Mount& mount) {
    static constexpr std::array<std::string_view, 4> types{"tmpfs", "devpts", "ramfs", "overlay"};
    if (std::find(types.begin(), types.end(), mount.type) == types.end()) return false;
    return std::none_of(mount.options.begin(), mount.options.end(), [](const std::string& option) {
        return option == "bind" || option == "rbind" || option.find("context=") != std::string::npos;
    });
}

}  // namespace

void check_lsm(const oci::Spec& spec) {
    if (spec.process) {
        const auto& profile = spec.process->apparmor_profile;
        if (!profile.empty() && profile != "unconfined" && !apparmor_is_on()) {
            throw Error(ErrorKind::unsupported, "process.apparmorProfile: set " + quoted(apparmor_exec) + " to " +
                                                    json_quote(profile) +
                                                    ": apparmor: config provided but apparmor not supported")
                .with_remedy("leave the field out on hosts without AppArmor");
        }
        if (!spec.process->selinux_label.empty() && !selinux_is_on()) {
            refuse_selinux("process.selinuxLabel", any_exec);
        }
    }
    context_type(spec);
    if (spec.linux_ && !spec.linux_->mount_label.empty() && !selinux_is_on()) {
        refuse_selinux("linux.mountLabel", any_exec);
    }
}

void add_mount_label(oci::Spec& spec) {
    if (!spec.linux_ || spec.linux_->mount_label.empty()) return;
    const std::string option = context_type(spec) + "=" + spec.linux_->mount_label;
    for (auto& mount : spec.mounts) {
        if (takes_label(mount)) mount.options.push_back(option);
    }
}

bool wants_lsm(const oci::Process& process) {
    return !process.apparmor_profile.empty() || !process.selinux_label.empty();
}

UniqueFd open_lsm_procfs() {
    try {
        return make_own_procfs();
    } catch (const Error& e) {
        if (e.os_errno() != EPERM) throw;
    }
    // A user namespace may mount no procfs of a pid namespace that is not its own, nor beside a masked one.
    return posix::open_proc_root();
}

void set_exec_label(const oci::Process& process, const UniqueFd& procfs) {
    if (!process.apparmor_profile.empty()) {
        set_apparmor(process.apparmor_profile, procfs);
    }
    if (!process.selinux_label.empty()) {
        const UniqueFd file = in_step("process.selinuxLabel", [&] { return open_attribute(procfs, any_exec); });
        write_attribute(file, any_exec, process.selinux_label, "process.selinuxLabel");
    }
}

KeyLabel::KeyLabel(const oci::Process& process, const UniqueFd& procfs) : procfs_(procfs) {
    if (process.selinux_label.empty()) return;
    const UniqueFd file = in_step("process.selinuxLabel", [&] { return open_attribute(procfs, any_keycreate); });
    write_attribute(file, any_keycreate, process.selinux_label, "process.selinuxLabel");
    set_ = true;
}

KeyLabel::~KeyLabel() {
    if (!set_) return;
    try {
        const UniqueFd file = open_attribute(procfs_, any_keycreate);
        // An empty value is the kernel's own choice; a write of nothing would not reach it.
        static_cast<void>(!::write(file.get(), "\n", 1));
    } catch (const Error&) {
        // What is made later in this process is no key.
    }
}

}  // namespace locald::shim
