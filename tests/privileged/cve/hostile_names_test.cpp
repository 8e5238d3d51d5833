// Names that become paths: container ids with a slash and `..` in crun's delegate-cgroup annotation (no number), and
// links where the runtime makes something: CVE-2025-24965 (crun), CVE-2026-41579 (runc), CVE-2026-47766 (crun).

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using HostileNames = CveTest;

TEST_F(HostileNames, IdsThatAreNoIdsAreRefusedByEveryVerbBeforeAnyFileIsLookedAt) {
    write(config("echo ran"));
    make_file(dir_ / "state.json", "{}");
    for (const std::string& id :
         {std::string(), std::string("/x"), std::string("/"), std::string(".."), std::string("."),
          std::string("a/../b"), std::string("../.."), std::string("a/b"), std::string("a/"), std::string(".hidden"),
          std::string("-x"), std::string("a\nb"), std::string("a b"), std::string("a\x01"), std::string("\xff"),
          std::string("a:b"), std::string("a\\b"), std::string(129, 'a')}) {
        const auto result = call({"bundle", "run", "--bundle", dir_ / "bundle", "--id=" + id});
        EXPECT_EQ(result.code, 125) << id;
        EXPECT_EQ(result.out, "") << id;
        for (const std::string verb : {"create", "run", "start", "state", "kill", "delete", "exec", "pause", "ps"}) {
            std::vector<std::string> words{verb};
            if (verb == "create" || verb == "run") words.insert(words.end(), {"--bundle", dir_ / "bundle"});
            words.insert(words.end(), {"--", id});
            if (verb == "exec") words.push_back("true");
            const auto other = call(words);
            EXPECT_NE(other.code, 0) << verb << " " << id;
            EXPECT_EQ(other.out, "") << verb << " " << id;
        }
    }
    EXPECT_FALSE(std::filesystem::exists(dir_ / "state"));
}

TEST_F(HostileNames, CgroupPathsThatLeadElsewhereAreRefusedOrStayBelow) {
    for (const std::string& path : {std::string("/../../etc"), std::string("a/../../b"), std::string(".."),
                                    std::string("/a\nb"), std::string("a\0b", 3)}) {
        Json json = config("echo ran");
        json["linux"]["cgroupsPath"] = path;
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << path << result.out;
        EXPECT_EQ(result.out, "");
    }
}

TEST_F(HostileNames, TextsWithNulAreRefusedWhereTheyBecomePaths) {
    const std::string nul("/x\0y", 4);
    const auto refused = [&](const std::function<void(Json&)>& change) {
        Json json = config("echo ran");
        change(json);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << result.out;
        EXPECT_EQ(result.out, "");
    };
    refused([&](Json& json) { json["root"]["path"] = nul; });
    refused([&](Json& json) { json["process"]["cwd"] = nul; });
    refused([&](Json& json) { json["process"]["args"] = {nul}; });
    refused([&](Json& json) { json["process"]["env"].push_back("A=" + nul); });
    refused([&](Json& json) { json["mounts"].push_back(bind_of(nul, "/tmp")); });
    refused([&](Json& json) { json["mounts"].push_back(bind_of("/tmp", nul)); });
    refused([&](Json& json) { json["linux"]["maskedPaths"].push_back(nul); });
    refused([&](Json& json) { json["linux"]["readonlyPaths"].push_back(nul); });
}

TEST_F(HostileNames, WhateverIsMadeInTheImageIsMadeInsideIt) {
    // Every place where the runtime makes something is a link to a name of the host that does not exist yet.
    const std::string outside = make_outside();
    const auto before = look_at(outside);
    std::filesystem::create_symlink(outside + "/made-file", rootfs("/etc/resolv.conf"));
    std::filesystem::create_symlink(outside + "/made-dir", rootfs("/volume"));
    std::filesystem::create_symlink(outside, rootfs("/parent"));
    std::filesystem::create_symlink(outside + "/made-cwd", rootfs("/work"));
    std::filesystem::create_symlink("../../../../../../../../../.." + outside, rootfs("/climb"));
    Json json = config("true");
    json["process"]["cwd"] = "/work/deep";
    json["mounts"].push_back(bind_of("/etc/resolv.conf", dir_ / "bundle/config.json"));
    json["mounts"].push_back({{"destination", "/volume"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    json["mounts"].push_back({{"destination", "/parent/new/dir"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    json["mounts"].push_back({{"destination", "/climb/new"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    json["linux"]["devices"] = Json::array({{{"path", "/parent/device"}, {"type", "c"}, {"major", 1}, {"minor", 3}},
                                            {{"path", "/climb/fifo"}, {"type", "p"}}});
    EXPECT_EQ(run(json).code, 0);
    EXPECT_EQ(look_at(outside), before);
}

TEST_F(HostileNames, ADevThatIsALinkChangesNothingOnTheHostBetweenCreateAndDelete) {
    const std::string outside = make_outside();
    for (const char* name : {"ptmx", "fd", "console", "null"}) make_file(outside + "/" + name, "the host's\n");
    const auto before = look_at(outside);
    for (const std::string& target : {outside, "../../../../../../../../../../.." + outside}) {
        std::filesystem::remove_all(rootfs("/dev"));
        std::filesystem::create_symlink(target, rootfs("/dev"));
        Json json = config(stay());
        remove_mount(json, "/dev/pts");
        remove_mount(json, "/dev");
        write(json);
        call({"create", "--bundle", dir_ / "bundle", id_});
        EXPECT_EQ(look_at(outside), before);
        call({"start", id_});
        call({"delete", "--force", id_});
        EXPECT_EQ(look_at(outside), before);
    }
}

}  // namespace
}  // namespace locald::testing
