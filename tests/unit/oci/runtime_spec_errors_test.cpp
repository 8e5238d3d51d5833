// What is wrong in a config.json is refused by its place.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

#include "core/base/error.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::oci {
namespace {

std::string error_of(std::string_view text) {
    try {
        parse_spec(text);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

/// A good config with the value at `pointer` (RFC 6901) replaced, or removed when `value` is empty.
std::string config_with(const std::string& pointer, const std::string& value) {
    auto config = nlohmann::json::parse(R"({"ociVersion":"1.3.0","root":{"path":"r"},"process":{"cwd":"/","args":["a"]},
        "mounts":[{"destination":"/proc"}],"linux":{"namespaces":[{"type":"pid"}]}})");
    const nlohmann::json::json_pointer at(pointer);
    if (value.empty()) {
        config.at(at.parent_pointer()).erase(at.back());
    } else {
        config[at] = nlohmann::json::parse(value);
    }
    return config.dump();
}

struct Case {
    std::string pointer, value, said;
};
class WrongSpec : public ::testing::TestWithParam<Case> {};

TEST_P(WrongSpec, IsRefusedByItsPlace) {
    EXPECT_EQ(error_of(config_with(GetParam().pointer, GetParam().value)), GetParam().said);
}

INSTANTIATE_TEST_SUITE_P(
    Missing, WrongSpec,
    ::testing::Values(
        Case{"/ociVersion", "", "ociVersion: missing"}, Case{"/ociVersion", "null", "ociVersion: missing"},
        Case{"/root/path", "", "root.path: missing"}, Case{"/root/path", R"("")", "root.path: must not be empty"},
        Case{"/mounts/0/destination", "", "mounts[0].destination: missing"},
        Case{"/process/cwd", "", "process.cwd: missing"},
        Case{"/process/cwd", R"("")", "process.cwd: Cwd property must not be empty"},
        Case{"/process/rlimits", R"([{"type":"RLIMIT_CORE","soft":1}])", "process.rlimits[0].hard: missing"},
        Case{"/process/consoleSize", R"({"width":1})", "process.consoleSize.height: missing"},
        Case{"/process/scheduler", "{}", "process.scheduler.policy: missing"},
        Case{"/process/ioPriority", R"({"priority":1})", "process.ioPriority.class: missing"},
        Case{"/hooks", R"({"poststop":[{"path":"/a"},{}]})", "hooks.poststop[1].path: missing"},
        Case{"/linux/namespaces", "[{}]", "linux.namespaces[0].type: missing"},
        Case{"/linux/devices", R"([{"path":"/dev/x"}])", "linux.devices[0].type: missing"},
        Case{"/linux/devices", R"([{"path":"/dev/x","type":"p"},{"path":"/dev/y","type":"b","major":1}])",
             "linux.devices[1].minor: missing"},
        Case{"/linux/uidMappings", R"([{"containerID":0,"hostID":0}])", "linux.uidMappings[0].size: missing"},
        Case{"/linux/seccomp", "{}", "linux.seccomp.defaultAction: missing"},
        Case{"/linux/seccomp", R"({"defaultAction":"A","syscalls":[{"names":[],"action":"B"}]})",
             "linux.seccomp.syscalls[0].names: must hold at least one system call"},
        Case{"/linux/seccomp",
             R"({"defaultAction":"A","syscalls":[{"names":["x"],"action":"B","args":[{"index":0,"value":0}]}]})",
             "linux.seccomp.syscalls[0].args[0].op: missing"},
        Case{"/linux/resources", R"({"devices":[{}]})", "linux.resources.devices[0].allow: missing"},
        Case{"/linux/resources", R"({"hugepageLimits":[{"limit":1}]})",
             "linux.resources.hugepageLimits[0].pageSize: missing"},
        Case{"/linux/resources", R"({"blockIO":{"throttleReadIOPSDevice":[{"major":1,"minor":2}]}})",
             "linux.resources.blockIO.throttleReadIOPSDevice[0].rate: missing"},
        Case{"/linux/resources", R"({"network":{"priorities":[{"priority":2}]}})",
             "linux.resources.network.priorities[0].name: missing"},
        Case{"/linux/personality", "{}", "linux.personality.domain: missing"},
        Case{"/linux/memoryPolicy", "{}", "linux.memoryPolicy.mode: missing"}));

INSTANTIATE_TEST_SUITE_P(
    Types, WrongSpec,
    ::testing::Values(Case{"", "[]", "document: expected an object, got a list"},
                      Case{"/root", R"("r")", "root: expected an object, got \"r\""},
                      Case{"/root/readonly", "1", "root.readonly: expected true or false, got 1"},
                      Case{"/root/readonly", R"("true")", "root.readonly: expected true or false, got \"true\""},
                      Case{"/process/args", R"("sh")", "process.args: expected a list, got \"sh\""},
                      Case{"/process/args", R"(["sh",1])", "process.args[1]: expected a string, got 1"},
                      Case{"/process/args", R"(["sh",null])", "process.args[1]: expected a string, got null"},
                      Case{"/process/env", R"({"A":"b"})", "process.env: expected a list, got an object"},
                      Case{"/mounts/0/options", R"([["ro"]])", "mounts[0].options[0]: expected a string, got a list"},
                      Case{"/annotations", R"({"a.b":true})", "annotations[\"a.b\"]: expected a string, got true"},
                      Case{"/linux/sysctl", R"({"net.ipv4.ip_forward":1})",
                           "linux.sysctl[\"net.ipv4.ip_forward\"]: expected a string, got 1"},
                      Case{"/linux/resources", R"({"pids":3})", "linux.resources.pids: expected an object, got 3"},
                      Case{"/hostname", "\"" + std::string(100, 'x') + "\"", "no error"},
                      Case{"/root", "\"" + std::string(100, 'x') + "\"",
                           "root: expected an object, got \"" + std::string(64, 'x') + "\"…"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, WrongSpec,
    ::testing::Values(
        Case{"/process/user", R"({"uid":4294967295})", "no error"}, Case{"/process/user", R"({"uid":-0})", "no error"},
        Case{"/process/user", R"({"uid":4294967296})", "process.user.uid: expected 0..4294967295, got 4294967296"},
        Case{"/process/user", R"({"gid":-1})", "process.user.gid: expected 0..4294967295, got -1"},
        Case{"/process/user", R"({"additionalGids":[0,1.0]})",
             "process.user.additionalGids[1]: expected 0..4294967295, got 1.0"},
        Case{"/process/user", R"({"uid":1e3})", "process.user.uid: expected 0..4294967295, got 1000.0"},
        Case{"/process/user", R"({"uid":"0"})", "process.user.uid: expected 0..4294967295, got \"0\""},
        Case{"/process/user", R"({"uid":true})", "process.user.uid: expected 0..4294967295, got true"},
        Case{"/process/oomScoreAdj", "-2147483648", "no error"},
        Case{"/process/oomScoreAdj", "2147483648",
             "process.oomScoreAdj: expected -2147483648..2147483647, got 2147483648"},
        Case{"/process/oomScoreAdj", "-2147483649",
             "process.oomScoreAdj: expected -2147483648..2147483647, got -2147483649"},
        Case{"/process/oomScoreAdj", "18446744073709551615",
             "process.oomScoreAdj: expected -2147483648..2147483647, got 18446744073709551615"},
        Case{"/process/rlimits", R"([{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}])", "no error"},
        Case{"/process/rlimits", R"([{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551616}])",
             "process.rlimits[0].hard: expected 0..18446744073709551615, got 1.8446744073709552e+19"},
        Case{"/linux/uidMappings", R"([{"containerID":0,"hostID":0,"size":-1}])",
             "linux.uidMappings[0].size: expected 0..4294967295, got -1"},
        Case{"/linux/resources", R"({"memory":{"limit":9223372036854775807}})", "no error"},
        Case{"/linux/resources", R"({"memory":{"limit":9223372036854775808}})",
             "linux.resources.memory.limit: expected -9223372036854775808..9223372036854775807, got "
             "9223372036854775808"},
        Case{"/linux/resources", R"({"blockIO":{"weight":65536}})",
             "linux.resources.blockIO.weight: expected 0..65535, got 65536"}));

INSTANTIATE_TEST_SUITE_P(
    Nul, WrongSpec,
    ::testing::Values(Case{"/process/args", R"(["a\u0000b"])", "process.args[0]: holds a NUL byte"},
                      Case{"/process/env", R"(["A=1","B=\u0000"])", "process.env[1]: holds a NUL byte"},
                      Case{"/process/cwd", R"("/\u0000")", "process.cwd: holds a NUL byte"},
                      Case{"/root/path", R"("\u0000")", "root.path: holds a NUL byte"},
                      Case{"/mounts/0/source", R"("/a\u0000")", "mounts[0].source: holds a NUL byte"},
                      Case{"/linux/sysctl", R"({"a\u0000":"1"})", "linux.sysctl[\"a\\u0000\"]: holds a NUL byte"},
                      Case{"/linux/maskedPaths", R"(["\u0000"])", "linux.maskedPaths[0]: holds a NUL byte"}));

INSTANTIATE_TEST_SUITE_P(
    Rules, WrongSpec,
    ::testing::Values(Case{"/process/cwd", R"("srv")", "process.cwd: Cwd must be an absolute path"},
                      Case{"/process/rlimits",
                           R"([{"type":"RLIMIT_CORE","soft":0,"hard":0},{"type":"RLIMIT_NPROC","soft":0,"hard":0},
                 {"type":"RLIMIT_CORE","soft":1,"hard":1}])",
                           "process.rlimits[2]: duplicated rlimit \"RLIMIT_CORE\""},
                      Case{"/hooks", R"({"prestart":[{"path":"bin/x"}]})",
                           "hooks.prestart[0].path: must be an absolute path"},
                      Case{"/hooks", R"({"prestart":[{"path":"/x","timeout":0}]})",
                           "hooks.prestart[0].timeout: expected at least 1 second, got 0"},
                      Case{"/linux/namespaces", R"([{"type":"pid"},{"type":"net"}])",
                           "linux.namespaces[1].type: namespace \"net\" does not exist"},
                      Case{"/linux/namespaces", R"([{"type":"pid"},{"type":"ipc"},{"type":"pid"}])",
                           "linux.namespaces[2]: malformed spec file: duplicated ns \"pid\""},
                      Case{"/linux/namespaces", R"([{"type":"pid","path":"proc"}])",
                           "linux.namespaces[0].path: must be an absolute path"},
                      Case{"/linux/devices", R"([{"path":"/dev/x","type":"x"}])",
                           "linux.devices[0].type: expected c, b, u or p, got \"x\""},
                      Case{"/linux/seccomp", R"({"defaultAction":"A","listenerMetadata":"m"})",
                           "linux.seccomp.listenerMetadata: must not be set without listenerPath"}));

TEST(OciVersion, MustBeSemVerOfMajorOne) {
    const auto said = [](const std::string& version) { return error_of(R"({"ociVersion":")" + version + "\"}"); };
    for (const char* good : {"1.0.0", "1.0.2", "1.3.0", "1.0.0-rc5-dev", "1.2.0+dev", "1.99.0-a.1.b-c+x.01"}) {
        EXPECT_EQ(said(good), "no error") << good;
    }
    for (const char* bad : {"", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.x", "v1.0.0", "1.0.0-", "1.0.0-01", "1.0.0+",
                            "1.0.0-a..b", " 1.0.0", "1.0.0-\u00e4"}) {
        EXPECT_NE(said(bad).find("ociVersion: expected a SemVer version"), std::string::npos) << bad;
    }
    for (const char* other : {"0.9.0", "2.0.0", "10.0.0", "18446744073709551617.0.0"}) {
        EXPECT_NE(said(other).find("ociVersion: expected version 1"), std::string::npos) << other;
    }
}

TEST(ParseSpec, TellsWhereATextStopsBeingJson) {
    EXPECT_EQ(error_of(""), "not JSON: the text is empty");
    EXPECT_EQ(error_of(" \n\t"), "not JSON: the text is empty");
    EXPECT_EQ(error_of("{\n  \"a\": tru\n}").find("not JSON at byte 12 (line 2, column 11): "), 0U)
        << error_of("{\n  \"a\": tru\n}");
    EXPECT_EQ(error_of("{").find("not JSON at byte 1 (line 1, column 2): "), 0U) << error_of("{");
    EXPECT_EQ(error_of("{} x").find("not JSON at byte 3 "), 0U) << error_of("{} x");
    EXPECT_NE(error_of("{\"a\":1,}").find("not JSON at byte 7 "), std::string::npos) << error_of("{\"a\":1,}");
    EXPECT_NE(error_of("{\"a\":\"\xFF\"}").find("not JSON at byte 6 "), std::string::npos);
    EXPECT_NE(error_of(R"({"a":1e})").find("not JSON"), std::string::npos) << error_of(R"({"a":1e})");
    EXPECT_NE(error_of("{'a':1}").find("not JSON"), std::string::npos);
    EXPECT_NE(error_of("// x\n{}").find("not JSON"), std::string::npos);
}

TEST(ParseSpec, KeepsAMessageShortWhateverTheTextIs) {
    EXPECT_LT(error_of("{\"a\":\"" + std::string(100000, 'x')).size(), 400U);
    EXPECT_LT(error_of(R"({"ociVersion":")" + std::string(100000, '1') + "\"}").size(), 400U);
    EXPECT_LT(error_of(R"({"ociVersion":"1.0.0","annotations":{")" + std::string(100000, '.') + "\":1}}").size(), 400U);
}

std::string nested(int depth) {
    const auto n = static_cast<std::size_t>(depth - 1);
    return R"({"ociVersion":"1.0.0","x":)" + std::string(n, '[') + std::string(n, ']') + "}";
}

TEST(ParseSpec, BoundsNesting) {
    EXPECT_EQ(error_of(nested(128)), "no error");
    EXPECT_EQ(error_of(nested(129)), "byte 153 (line 1, column 154): nested deeper than 128 levels");
    EXPECT_NE(error_of(nested(1000000)).find("nested deeper"), std::string::npos);
    EXPECT_NE(error_of(std::string(5000000, '[')).find("nested deeper"), std::string::npos);
}

TEST(ParseSpec, CountsNoBracketsInTexts) {
    EXPECT_EQ(error_of(R"({"ociVersion":"1.0.0","x":"\"[[\\)" + std::string(500, '[') + "\"}"), "no error");
}

TEST(ParseSpec, LetsTheLastOfADoubledKeyWin) {
    EXPECT_EQ(parse_spec(R"({"ociVersion":"9","hostname":"a","ociVersion":"1.0.0","hostname":"b"})").hostname, "b");
}

TEST(ParseProcess, NamesThePlaceBelowProcess) {
    try {
        parse_process(R"({"cwd":"/","user":{"uid":-1}})");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "process.user.uid: expected 0..4294967295, got -1");
    }
}

TEST(ParseProcess, NeedsNoArguments) { EXPECT_TRUE(parse_process(R"({"cwd":"/"})").args.empty()); }

TEST(ParseResources, NamesThePlaceBelowResources) {
    try {
        parse_resources(R"({"cpu":{"shares":-1}})");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "resources.cpu.shares: expected 0..18446744073709551615, got -1");
    }
}

}  // namespace
}  // namespace locald::oci
