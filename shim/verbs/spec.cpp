#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/oci/runtime_spec.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/namespaces/given_user.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

/// What other runtimes begin with too, so that a script which edits theirs can edit ours.
constexpr const char* starter = R"({"ociVersion":"1.3.0",
"process":{"terminal":true,"user":{"uid":0,"gid":0},"args":["sh"],
"env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","TERM=xterm"],"cwd":"/",
"capabilities":{"bounding":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],
"effective":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],
"permitted":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"]},
"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],"noNewPrivileges":true},
"root":{"path":"rootfs","readonly":true},"hostname":"locald","mounts":[
{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","strictatime","mode=755","size=65536k"]},
{"destination":"/dev/pts","type":"devpts","source":"devpts",
 "options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"]},
{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","nodev","mode=1777","size=65536k"]},
{"destination":"/dev/mqueue","type":"mqueue","source":"mqueue","options":["nosuid","noexec","nodev"]},
{"destination":"/sys","type":"sysfs","source":"sysfs","options":["nosuid","noexec","nodev","ro"]},
{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup",
 "options":["nosuid","noexec","nodev","relatime","ro"]}],
"linux":{"resources":{"devices":[{"allow":false,"access":"rwm"}]},
"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],
"maskedPaths":["/proc/acpi","/proc/asound","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list",
"/proc/timer_stats","/proc/sched_debug","/sys/firmware","/proc/scsi"],
"readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}})";

/// What an ordinary user's namespace with one id in it can do: the host's network and its /sys, no device rules.
void make_rootless(oci::Spec& spec) {
    if (!spec.linux_) return;
    oci::Linux& config = *spec.linux_;
    std::erase_if(config.namespaces, [](const oci::Namespace& entry) { return entry.type == "network"; });
    config.namespaces.push_back({"user", {}});
    if (!gives_maps()) {
        config.uid_mappings = {{0, ::geteuid(), 1}};
        config.gid_mappings = {{0, ::getegid(), 1}};
    }
    config.resources.reset();
    for (auto& mount : spec.mounts) {
        std::erase_if(mount.options, [](const std::string& option) { return option == "gid=5"; });  // not mapped
        if (mount.destination != "/sys") continue;
        // A sysfs of one's own needs a network namespace of one's own.
        mount.type = "none";
        mount.source = "/sys";
        mount.options = {"rbind", "nosuid", "noexec", "nodev", "ro"};
    }
}

int write_spec(const Globals&, Walker& walker) {
    std::string bundle = ".";
    bool rootless = false;
    for (std::string name; walker.next_option(name);) {
        if (name == "-b" || name == "--bundle") {
            bundle = walker.value();
        } else if (name == "--rootless") {
            rootless = walker.flag();
        } else {
            walker.unknown();
        }
    }
    walker.need_exactly(0);
    oci::Spec spec = oci::parse_spec(starter);
    if (rootless) make_rootless(spec);
    const std::string path = bundle + "/config.json";
    posix::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file && errno == EEXIST) {
        throw Error(ErrorKind::exists, path + ": File config.json exists. Remove it first", EEXIST);
    }
    if (!file) throw_errno(errno, "make ", path);
    try {
        posix::write_all(file, oci::to_json(spec) + "\n", path);
    } catch (const Error&) {
        ::unlink(path.c_str());
        throw;
    }
    return 0;
}

}  // namespace

const Verb spec_verb{
    "spec", "  spec [--bundle DIR] [--rootless]   write a config.json to begin with\n",
    "Usage: locald-shim spec [OPTION...]\n"
    "\n"
    "Writes config.json for a shell in the root filesystem `rootfs` on a terminal: a file to edit. One that is there\n"
    "already stays, and is an error.\n"
    "\n"
    "  -b, --bundle DIR   the bundle directory (default: the current one)\n"
    "      --rootless     for an ordinary user: a user namespace with the caller's ids (by a setuid shim those that\n"
    "                     its starts map), the host's network\n",
    write_spec};

}  // namespace locald::shim
