#include "shim/container/validate.hpp"

#include <linux/sched.h>
#include <sched.h>

#include <set>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/intel_rdt.hpp"
#include "shim/container/validate_fields.hpp"
#include "shim/mounts/shared_root.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/namespaces/net_devices.hpp"
#include "shim/process/lsm.hpp"
#include "shim/process/process.hpp"
#include "shim/seccomp/config.hpp"

namespace locald::shim {

namespace {

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorKind::invalid, text); }
[[noreturn]] void unsupported(const std::string& text, const std::string& remedy) {
    throw Error(ErrorKind::unsupported, text).with_remedy(remedy);
}

void check_version(const std::string& version) {
    // SemVer: three numbers, then perhaps -suffix or +suffix. Only major version 1 is known.
    const auto core = std::string_view(version).substr(0, version.find_first_of("-+"));
    const auto parts = split(core, '.');
    bool good = parts.size() == 3;
    for (const auto part : parts) good = good && parse_u64(part).has_value();
    if (!good) refuse("ociVersion: \"" + version + "\" is not a semantic version");
    if (parse_u64(parts[0]) != 1U) {
        unsupported("ociVersion: " + version, "this runtime knows 1.0.0 to 1.3.0");
    }
}

void check_namespaces(const oci::Linux& config) {
    std::set<std::string> seen;
    for (const auto& entry : config.namespaces) {
        if (namespace_flag(entry.type) == 0)
            refuse("linux.namespaces: namespace \"" + entry.type + "\" does not exist");
        if (!seen.insert(entry.type).second)
            refuse("linux.namespaces: malformed spec file: duplicated ns \"" + entry.type + "\"");
    }
    const auto find = [&](const char* type) -> const oci::Namespace* {
        for (const auto& entry : config.namespaces) {
            if (entry.type == type) return &entry;
        }
        return nullptr;
    };
    const auto* user = find("user");
    const bool mapped = !config.uid_mappings.empty() || !config.gid_mappings.empty();
    if (user == nullptr && mapped) {
        refuse(
            "linux.uidMappings, linux.gidMappings: user namespace mappings specified, but user namespace isn't enabled "
            "in the config");
    }
    if (user != nullptr && user->path.empty() && (config.uid_mappings.empty() || config.gid_mappings.empty())) {
        throw Error(ErrorKind::invalid,
                    "linux.uidMappings, linux.gidMappings: user namespaces enabled, but no namespace path to join nor "
                    "mappings to apply specified")
            .with_remedy(
                "give both, or write config.json anew by `locald-shim spec --rootless`; only starts by a setuid "
                "shim make the maps themselves");
    }
    const auto* time = find("time");
    if (time == nullptr && !config.time_offsets.empty()) {
        refuse("linux.timeOffsets: time namespace offsets specified, but time namespace isn't enabled in the config");
    }
    if (time != nullptr && !time->path.empty() && !config.time_offsets.empty()) {
        refuse(
            "linux.timeOffsets: time namespace enabled, but both namespace path and time offsets specified -- you may "
            "only provide one");
    }
}

void check_linux(const oci::Spec& spec, const oci::Linux& config) {
    check_namespaces(config);
    check_shared_mounts(spec);
    bool uts = false;
    for (const auto& entry : config.namespaces) uts = uts || entry.type == "uts";
    if (!uts && !spec.hostname.empty()) refuse("hostname: unable to set hostname without a private UTS namespace");
    if (!uts && !spec.domainname.empty())
        refuse("domainname: unable to set domainname without a private UTS namespace");
    if (config.intel_rdt) check_intel_rdt(*config.intel_rdt);
    check_net_devices(config);
    static const std::set<std::string> propagations{"",        "shared",   "rshared",    "slave",      "rslave",
                                                    "private", "rprivate", "unbindable", "runbindable"};
    if (!propagations.contains(config.rootfs_propagation)) {
        refuse("linux.rootfsPropagation: rootfsPropagation=" + config.rootfs_propagation + " is not supported");
    }
    for (const auto* paths : {&config.masked_paths, &config.readonly_paths}) {
        for (const auto& path : *paths) {
            if (path.empty() || path.front() != '/') {
                refuse(std::string(paths == &config.masked_paths ? "linux.maskedPaths" : "linux.readonlyPaths") +
                       ": \"" + path + "\" is not an absolute path");
            }
        }
    }
}

}  // namespace

void check_no_pivot(const oci::Spec& spec) {
    if (!spec.get_linux().rootfs_propagation.ends_with("private")) return;
    refuse("--no-pivot: rootfsPropagation of [r]private is not safe without pivot_root");
}

void validate_process(const oci::Process& process) { check_process(process); }

void validate(const oci::Spec& spec, bool need_process) {
    check_version(spec.oci_version);
    if (!spec.root || spec.root->path.empty()) refuse("root.path: is missing");
    if (!spec.process && need_process) refuse("process: process property must not be empty");
    if (!spec.linux_) refuse("linux: is missing");
    if (spec.process) check_process(*spec.process);
    check_fields(spec);
    check_linux(spec, *spec.linux_);
    check_sysctls(spec);
    check_seccomp(spec);
    check_lsm(spec);
}

}  // namespace locald::shim
