#include "shim/container/features.hpp"

#include <linux/seccomp.h>
#include <nlohmann/json.hpp>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "shim/base/capabilities.hpp"
#include "shim/mounts/mount_options.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/process/process.hpp"
#include "shim/seccomp/names.hpp"
#include "shim/seccomp/seccomp.hpp"
#include "shim/start/root_files.h"

namespace locald::shim {

namespace {

using Json = nlohmann::ordered_json;

/// Asked without a program: a kernel that knows the flag gets as far as reading it.
bool kernel_knows(unsigned flag) noexcept {
    const unsigned alone = flag | (flag == seccomp_flag("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
                                       ? static_cast<unsigned>(SECCOMP_FILTER_FLAG_NEW_LISTENER)
                                       : 0U);
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, alone, nullptr) != 0 && errno == EFAULT;
}

Json seccomp() {
    Json supported = Json::array();
    for (const auto& name : seccomp_flags()) {
        if (kernel_knows(seccomp_flag(name).value_or(0))) supported.push_back(name);
    }
    return {{"enabled", true},
            {"actions", seccomp_actions()},
            {"operators", seccomp_operators()},
            {"archs", seccomp_architectures()},
            {"knownFlags", seccomp_flags()},
            {"supportedFlags", supported}};
}

Json linux_features() {
    const Json enabled{{"enabled", true}};
    return {{"namespaces", known_namespaces()},
            {"capabilities", known_capabilities()},
            {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}}},
            {"seccomp", seccomp()},
            {"apparmor", enabled},
            {"selinux", enabled},
            {"intelRdt", {{"enabled", true}, {"schemata", true}, {"monitoring", true}}},
            {"memoryPolicy", {{"modes", memory_policy_modes()}, {"flags", memory_policy_flags()}}},
            {"mountExtensions", {{"idmap", enabled}}},
            {"netDevices", enabled}};
}

/// All that a setuid start adds to what a configuration says; `max`: no limit but those on the caller's own way. And
/// what is passed over in a user namespace: engines write device rules always, and nobody makes a device node there.
Json annotations(const std::string& libseccomp) {
    const std::string added = "org.locald.shim.setuid-defaults.";
    return {{"io.github.seccomp.libseccomp.version", libseccomp},
            {added + "linux.seccomp", "default"},
            {added + "user.containers", std::to_string(locald_default_containers)},
            {added + "user.pids", std::to_string(locald_default_pids)},
            {added + "user.memory", "max"},
            {"org.locald.shim.user-namespace.linux.resources.devices", "ignored"}};
}

}  // namespace

std::string features_json() {
    const auto* library = ::seccomp_version();
    const std::string version =
        std::to_string(library->major) + "." + std::to_string(library->minor) + "." + std::to_string(library->micro);
    const Json features{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
        {"mountOptions", known_mount_options()},
        {"linux", linux_features()},
        {"annotations", annotations(version)},
        // A dot at the end: all names that begin so.
        {"potentiallyUnsafeConfigAnnotations", {"org.systemd.property.", "run.oci."}},
    };
    return features.dump(4) + "\n";
}

}  // namespace locald::shim
