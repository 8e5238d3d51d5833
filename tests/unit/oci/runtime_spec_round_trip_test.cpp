// config.json in and out: what comes in goes out again, also what this version does not know.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

#include "core/base/error.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::oci {
namespace {

/// As an engine for an ordinary service writes it.
constexpr std::string_view plain_config = R"({
  "ociVersion": "1.2.1",
  "process": {
    "terminal": true,
    "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 1000, "gid": 1000, "umask": 18, "additionalGids": [4, 27]},
    "args": ["sh", "-c", "exec \"$0\" \u00e4", "x"],
    "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
    "cwd": "/srv",
    "capabilities": {
      "bounding": ["CAP_AUDIT_WRITE", "CAP_KILL"], "effective": ["CAP_KILL"],
      "inheritable": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 1024}],
    "noNewPrivileges": true
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "web",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]}
  ],
  "annotations": {"org.example.key": "value"},
  "linux": {
    "resources": {"devices": [{"allow": false, "access": "rwm"}]},
    "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}, {"type": "mount"}],
    "maskedPaths": ["/proc/kcore"],
    "readonlyPaths": ["/proc/sys"]
  }
})";

/// Every member of runtime-spec 1.3 for Linux.
constexpr std::string_view full_config = R"({
  "ociVersion": "1.3.0",
  "domainname": "example.org",
  "root": {"path": "/srv/rootfs"},
  "process": {
    "user": {"uid": 4294967295, "gid": 0},
    "cwd": "/",
    "apparmorProfile": "acme_secure_profile",
    "selinuxLabel": "system_u:system_r:svirt_lxc_net_t:s0:c124,c675",
    "oomScoreAdj": -999,
    "scheduler": {"policy": "SCHED_DEADLINE", "nice": -20, "priority": 0, "flags": ["SCHED_FLAG_RESET_ON_FORK"],
                  "runtime": 1000000, "deadline": 2000000, "period": 18446744073709551615},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "execCPUAffinity": {"initial": "7", "final": "0-3,7"}
  },
  "mounts": [{"destination": "/data", "source": "/srv/data", "options": ["rbind", "idmap"],
              "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
              "gidMappings": [{"containerID": 0, "hostID": 4294967295, "size": 1}]}],
  "hooks": {
    "prestart": [{"path": "/usr/bin/fix-mounts", "args": ["fix-mounts", "arg1"], "env": ["key1=value1"], "timeout": 1}],
    "createRuntime": [{"path": "/a"}], "createContainer": [{"path": "/b"}], "startContainer": [{"path": "/c"}],
    "poststart": [{"path": "/d"}], "poststop": [{"path": "/e"}, {"path": "/f"}]
  },
  "linux": {
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65535}],
    "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    "timeOffsets": {"monotonic": {"secs": 172800, "nanosecs": 1}, "boottime": {"secs": -604800, "nanosecs": 0}},
    "sysctl": {"net.ipv4.ip_forward": "1", "net.core.somaxconn": "256"},
    "cgroupsPath": "/myRuntime/myContainer",
    "resources": {
      "devices": [{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
      "memory": {"limit": 536870912, "reservation": 1, "swap": -1, "kernel": -1, "kernelTCP": -1, "swappiness": 0,
                 "disableOOMKiller": false, "useHierarchy": false, "checkBeforeUpdate": true},
      "cpu": {"shares": 1024, "quota": -1, "burst": 1000000, "period": 500000, "realtimeRuntime": 950000,
              "realtimePeriod": 1000000, "cpus": "2-3", "mems": "0-7", "idle": 0},
      "pids": {"limit": 0},
      "blockIO": {"weight": 65535, "leafWeight": 10,
                  "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300},
                                   {"major": 8, "minor": 16}],
                  "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                  "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 601}],
                  "throttleReadIOPSDevice": [{"major": 8, "minor": 2, "rate": 602}],
                  "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}],
      "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
      "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "rxe3": {"hcaObjects": 0}},
      "unified": {"io.max": "259:0 rbps=2097152", "hugetlb.1GB.max": "1073741824"}
    },
    "devices": [
      {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0},
      {"path": "/dev/pipe", "type": "p"}
    ],
    "netDevices": {"eth0": {"name": "container_eth0"}, "ens4": {}},
    "namespaces": [{"type": "pid", "path": "/proc/1234/ns/pid"}, {"type": "time"}, {"type": "cgroup"}],
    "seccomp": {
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/s.sock", "listenerMetadata": "m",
      "syscalls": [
        {"names": ["getcwd", "chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 18446744073709551615, "valueTwo": 9, "op": "SCMP_CMP_MASKED_EQ"},
                  {"index": 1, "value": 0, "op": "SCMP_CMP_EQ"}]}
      ]
    },
    "rootfsPropagation": "slave",
    "maskedPaths": ["/proc/kcore"],
    "readonlyPaths": ["/proc/sys"],
    "mountLabel": "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811",
    "intelRdt": {"closID": "guaranteed_group", "schemata": ["L3:0=7f0"], "l3CacheSchema": "L3:0=7f0;1=1f",
                 "memBwSchema": "MB:0=20;1=70", "enableMonitoring": true},
    "memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
    "personality": {"domain": "LINUX32", "flags": ["A"]}
  }
})";

nlohmann::json parsed(std::string_view text) { return nlohmann::json::parse(text); }

TEST(SpecRoundTrip, KeepsAPlainConfig) { EXPECT_EQ(parsed(to_json(parse_spec(plain_config))), parsed(plain_config)); }

TEST(SpecRoundTrip, KeepsEveryMemberOfTheSpec) {
    EXPECT_EQ(parsed(to_json(parse_spec(full_config))), parsed(full_config));
}

TEST(SpecRoundTrip, ReadsEveryMemberIntoAFieldAndNotIntoTheUnknownOnes) {
    const Spec spec = parse_spec(full_config);
    EXPECT_EQ(spec.unknown, "");
    EXPECT_EQ(spec.process->unknown, "");
    EXPECT_EQ(spec.process->scheduler->unknown, "");
    EXPECT_EQ(spec.linux_->unknown, "");
    EXPECT_EQ(spec.linux_->resources->unknown, "");
    EXPECT_EQ(spec.linux_->resources->memory->unknown, "");
    EXPECT_EQ(spec.linux_->resources->block_io->unknown, "");
    EXPECT_EQ(spec.linux_->seccomp->unknown, "");
    EXPECT_EQ(spec.hooks->unknown, "");
}

/// Adds `"x-unknown": [..]` to every object below `value` that is no map of names and no id mapping.
void add_unknown_members(nlohmann::json& value, const std::string& name = {}) {
    if (value.is_array()) {
        for (auto& item : value) add_unknown_members(item, name);
        return;
    }
    if (!value.is_object()) return;
    for (auto& [key, member] : value.items()) add_unknown_members(member, key);
    const bool map = name == "annotations" || name == "sysctl" || name == "unified" || name == "rdma" ||
                     name == "netDevices" || name == "timeOffsets";
    if (!map && name != "uidMappings" && name != "gidMappings" && name != "pids") {
        value["x-unknown"] = nlohmann::json::parse(R"([null, 1.5, -1, {"a": {"b": "\u0000"}}])");
    }
}

TEST(SpecRoundTrip, KeepsUnknownMembersOfEveryObject) {
    for (const auto text : {plain_config, full_config}) {
        auto config = parsed(text);
        add_unknown_members(config);
        EXPECT_EQ(parsed(to_json(parse_spec(config.dump()))), config);
    }
}

TEST(SpecRoundTrip, KeepsOtherPlatformsMembers) {
    constexpr std::string_view text = R"({"ociVersion":"1.3.0","windows":{"layerFolders":["C:\\x"]},"vm":{"kernel":{}},
        "freebsd":{},"zos":{},"solaris":{}})";
    EXPECT_EQ(parsed(to_json(parse_spec(text))), parsed(text));
}

TEST(SpecRoundTrip, IsStableAfterTheFirstTime) {
    for (const bool pretty : {true, false}) {
        const auto once = to_json(parse_spec(full_config), pretty);
        EXPECT_EQ(to_json(parse_spec(once), pretty), once);
    }
}

TEST(SpecRoundTrip, TakesNullForAbsent) {
    constexpr std::string_view text = R"({"ociVersion":"1.0.2","root":null,"mounts":null,"annotations":null,
        "process":{"cwd":"/","args":null,"env":null,"capabilities":null,"rlimits":null},"linux":{"seccomp":null}})";
    const Spec spec = parse_spec(text);
    EXPECT_FALSE(spec.root);
    EXPECT_FALSE(spec.process->capabilities);
    EXPECT_EQ(to_json(spec, false),
              R"({"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"/"},"linux":{}})");
}

TEST(SpecRoundTrip, KeepsNullInUnknownMembers) {
    constexpr std::string_view text = R"({"ociVersion":"1.0.2","x":null})";
    EXPECT_EQ(to_json(parse_spec(text), false), text);
}

TEST(SpecRoundTrip, TellsAnAbsentObjectFromAnEmptyOne) {
    constexpr std::string_view text =
        R"({"ociVersion":"1.0.2","hooks":{},"linux":{"resources":{"memory":{},"cpu":{}},"intelRdt":{}}})";
    const Spec spec = parse_spec(text);
    EXPECT_TRUE(spec.hooks && spec.hooks->empty());
    EXPECT_FALSE(spec.linux_->resources->network);
    EXPECT_EQ(to_json(spec, false), text);
}

TEST(SpecToJson, IndentsByTabsInTheSpecsOrder) {
    Spec spec;
    spec.oci_version = "1.3.0";
    spec.root = Root{"rootfs", false, {}};
    spec.hostname = "a\"b";
    EXPECT_EQ(to_json(spec),
              "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"root\": {\n\t\t\"path\": \"rootfs\"\n\t},\n"
              "\t\"hostname\": \"a\\\"b\"\n}");
}

TEST(SpecToJson, NamesThePlaceOfATextThatIsNoUtf8) {
    Spec spec = parse_spec(plain_config);
    spec.process->args[1] = "\xFF";
    try {
        to_json(spec);
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        EXPECT_STREQ(e.what(), "process.args[1]: is not UTF-8");
    }
}

TEST(SpecToJson, RefusesUnknownMembersThatAreNoObject) {
    Spec spec = parse_spec(plain_config);
    spec.unknown = "[1]";
    EXPECT_THROW(to_json(spec), Error);
    spec.unknown = "{";
    EXPECT_THROW(to_json(spec), Error);
}

TEST(SpecToJson, LetsAFieldWinOverAnUnknownMemberOfTheSameName) {
    Spec spec;
    spec.oci_version = "1.3.0";
    spec.unknown = R"({"ociVersion":"1.0.0","hostname":"other"})";
    EXPECT_EQ(to_json(spec, false), R"({"ociVersion":"1.3.0","hostname":"other"})");
}

TEST(ProcessRoundTrip, KeepsAProcessAlone) {
    const auto process = parsed(plain_config)["process"];
    EXPECT_EQ(parsed(to_json(parse_process(process.dump()))), process);
}

TEST(ParseResources, ReadsWhatAnUpdateHolds) {
    const Resources resources = parse_resources(R"({"memory":{"limit":10},"pids":{},"cpu":{"cpus":"0"}})");
    EXPECT_EQ(resources.memory->limit, 10);
    EXPECT_FALSE(resources.pids_limit);
    EXPECT_EQ(resources.cpu->cpus, "0");
}

}  // namespace
}  // namespace locald::oci
