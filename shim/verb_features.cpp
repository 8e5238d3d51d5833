#include <nlohmann/json.hpp>

#include "shim/capabilities.hpp"
#include "shim/mount_options.hpp"
#include "shim/namespaces.hpp"
#include "shim/verbs.hpp"

namespace locald::shim {

namespace {

int show_features(const Globals&, Walker& walker) {
    for (std::string name; walker.next_option(name);) walker.unknown();
    walker.need_exactly(0);
    using Json = nlohmann::ordered_json;
    const Json seccomp{
        {"enabled", true},
        {"actions",
         {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
          "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"}},
        {"operators",
         {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
          "SCMP_CMP_NE"}},
    };
    const Json features{
        {"ociVersionMin", "1.0.0"},
        {"ociVersionMax", "1.3.0"},
        {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
        {"mountOptions", known_mount_options()},
        {"linux",
         {
             {"namespaces", known_namespaces()},
             {"capabilities", known_capabilities()},
             {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}}},
             {"seccomp", seccomp},
             {"apparmor", {{"enabled", false}}},
             {"selinux", {{"enabled", false}}},
             {"intelRdt", {{"enabled", false}}},
             {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
             {"netDevices", {{"enabled", false}}},
         }},
        {"annotations", Json::object()},
    };
    print(features.dump(4) + "\n");
    return 0;
}

}  // namespace

const Verb features_verb{
    "features", "  features                           print what this runtime can do, as JSON\n",
    "Usage: locald-shim features\n"
    "\n"
    "Prints what this runtime was built to do, in the form of the runtime specification's features document.\n",
    show_features};

}  // namespace locald::shim
