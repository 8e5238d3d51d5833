// Binds whose ids are mapped, and sources that only root outside of the container may open.

#include <sched.h>
#include <sys/mount.h>

#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/mount_table.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

constexpr unsigned first = 200000;

class ShimIdmap : public ShimTest {
protected:
    static void SetUpTestSuite() {
        if (::geteuid() != 0) return;
        ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::filesystem::create_directories(source_ + "/sub");
        ASSERT_EQ(::mount("inner", (source_ + "/sub").c_str(), "tmpfs", 0, "mode=777"), 0);
        for (const char* name : {"/file", "/sub/file"}) {
            std::ofstream(source_ + name) << "text\n";
            ASSERT_EQ(::chown((source_ + name).c_str(), 5, 6), 0);
        }
        ASSERT_EQ(::chmod(source_.c_str(), 0777), 0);
    }
    void TearDown() override {
        ::umount2(source_.c_str(), MNT_DETACH);  // of the test that binds it on itself
        ::umount2((source_ + "/sub").c_str(), MNT_DETACH);
        EXPECT_EQ(leftovers_soon(), "");
    }
    Json data(const std::vector<std::string>& options) const {
        return {{"destination", "/data"}, {"source", source_}, {"options", options}};
    }
    static Json map(unsigned inside, unsigned outside, unsigned size) {
        return Json::array({{{"containerID", inside}, {"hostID", outside}, {"size", size}}});
    }
    void in_user_namespace(Json& json, const std::string& path = "") const {
        json["linux"]["namespaces"].push_back({{"type", "user"}});
        if (path.empty()) {
            json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = map(0, first, 1000);
        } else {
            json["linux"]["namespaces"].back()["path"] = path;
        }
        ASSERT_EQ(::chown(rootfs().c_str(), first, first), 0);
        for (const auto& entry : std::filesystem::recursive_directory_iterator(rootfs())) {
            ASSERT_EQ(::lchown(entry.path().c_str(), first, first), 0);
        }
    }
    void expect_refused(const Json& mount, const std::string& text) {
        auto json = config("echo ran");
        json["mounts"].push_back(mount);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125);
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    }

    const std::string source_ = dir_ / "source";
    const std::string owners_ = "stat -c %u:%g /data/file /data/sub/file";
};

TEST_F(ShimIdmap, MapsByMappingsOfItsOwnWithoutAUserNamespace) {
    auto json = config(owners_);
    auto mount = data({"rbind", "idmap"});
    mount["uidMappings"] = map(0, 1000, 10);
    mount["gidMappings"] = map(0, 2000, 10);
    json["mounts"].push_back(mount);
    auto result = run(json);
    EXPECT_EQ(result.out, "1005:2006\n5:6\n") << result.err;
    json["mounts"].back()["options"] = {"rbind", "ridmap"};
    result = run(json);
    EXPECT_EQ(result.out, "1005:2006\n1005:2006\n") << result.err;
    json["mounts"].back()["options"] = {"rbind"};
    result = run(json);
    EXPECT_EQ(result.out, "1005:2006\n5:6\n") << "mappings alone are idmap: " << result.err;
}

TEST_F(ShimIdmap, MapsByTheContainersUserNamespaceWhetherNewOrJoined) {
    locald::posix::IdMaps maps;
    maps.uids = maps.gids = {{0, first, 1000}};
    const auto joined = locald::posix::make_user_namespace(maps);
    const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(joined.get());
    for (const bool fresh : {true, false}) {
        auto json = config(owners_ + "; touch /data/new");
        in_user_namespace(json, fresh ? "" : path);
        json["mounts"].push_back(data({"rbind", "idmap"}));
        const auto result = run(json);
        EXPECT_EQ(result.out, "5:6\n65534:65534\n") << fresh << result.err;
        struct stat st {};
        ASSERT_EQ(::stat((source_ + "/new").c_str(), &st), 0);
        EXPECT_EQ(st.st_uid, 0U) << "root inside is root of the file system";
        std::filesystem::remove(source_ + "/new");
    }
}

TEST_F(ShimIdmap, MapsByMappingsOfItsOwnInAUserNamespace) {
    auto json = config(owners_);
    in_user_namespace(json);
    auto mount = data({"rbind", "ridmap", "ro"});
    mount["uidMappings"] = map(0, first + 100, 10);
    mount["gidMappings"] = map(0, first + 200, 10);
    json["mounts"].push_back(mount);
    const auto result = run(json);
    EXPECT_EQ(result.out, "105:206\n105:206\n") << result.err;
}

TEST_F(ShimIdmap, UnderstandsCrunsSyntax) {
    auto json = config(owners_);
    json["mounts"].push_back(data({"rbind", "idmap=uids=0-1000-5#5-7000-1;gids=0-2000-10"}));
    auto result = run(json);
    EXPECT_EQ(result.out, "7000:2006\n5:6\n") << result.err;
    in_user_namespace(json);
    json["mounts"].back()["options"] = {"rbind", "ridmap=uids=@0-100-10;gids=@0-200-10"};
    result = run(json);
    EXPECT_EQ(result.out, "105:206\n105:206\n") << result.err;
    expect_refused(data({"bind", "idmap=uids=0-1;gids=0-0-1"}), "idmap=uids=0-1;gids=0-0-1");
    expect_refused(data({"bind", "idmap=uids=0-1-1"}), "must have both uid and gid mappings");
}

TEST_F(ShimIdmap, SaysWhyAMountCannotBeMapped) {
    expect_refused(data({"bind", "idmap"}), "idmap without mappings, and the container has no user namespace");
    auto mount = data({"bind"});
    mount["uidMappings"] = map(0, 1000, 10);
    expect_refused(mount, "id-mapped mounts must have both uid and gid mappings specified");
    mount["gidMappings"] = map(0, 1000, 10);
    mount["type"] = "tmpfs";
    mount["options"] = Json::array();
    expect_refused(mount, "id-mapped mounts are only supported for bind-mounts");
    mount["options"] = {"bind"};
    mount["source"] = "/sys/class";
    expect_refused(mount, "sysfs has none in any Linux");
    mount["source"] = source_;
    mount["uidMappings"] = map(5, 1005, 1);
    for (unsigned i = 1; i <= 340; ++i) {
        mount["uidMappings"].push_back({{"containerID", 10 + i}, {"hostID", 2000 + i}, {"size", 1}});
    }
    expect_refused(mount, "has 341 entries, and the kernel takes 340");
    mount["uidMappings"].erase(340);
    auto json = config("stat -c %u:%g /data/file");
    json["mounts"].push_back(mount);
    const auto result = run(json);
    EXPECT_EQ(result.out, "1005:1006\n") << "340 are not too many: " << result.err;
    for (auto& entry : mount["uidMappings"]) entry["hostID"] = entry["hostID"].get<unsigned>() + 4000000000U;
    expect_refused(mount, "page");
}

TEST_F(ShimIdmap, TellsTheUserNamespacesErrorFromTheParentsSide) {
    auto json = config("echo ran");
    in_user_namespace(json);
    json["mounts"].push_back({{"destination", "/data"}, {"source", "/sys/class"}, {"options", {"bind", "idmap"}}});
    auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("sysfs has none in any Linux"), std::string::npos) << result.err;
    json["mounts"].back() = {{"destination", "/data"}, {"source", dir_ / "nothing"}, {"options", {"bind"}}};
    result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("No such file"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(dir_ / "nothing"), std::string::npos) << result.err;
}

TEST_F(ShimIdmap, BindsWhatLiesInAnothersPrivateDirectoryForRootsContainers) {
    std::filesystem::create_directories(dir_ / "home/volume");
    std::ofstream(dir_ / "home/volume/file") << "mine\n";
    ASSERT_EQ(::chown((dir_ / "home").c_str(), 1234, 1234), 0);
    ASSERT_EQ(::chmod((dir_ / "home").c_str(), 0700), 0);
    auto json = config("cat /data/file");
    in_user_namespace(json);
    json["mounts"].push_back({{"destination", "/data"}, {"source", dir_ / "home/volume"}, {"options", {"bind"}}});
    const auto result = run(json);
    EXPECT_EQ(result.out, "mine\n") << result.err;
}

TEST_F(ShimIdmap, KeepsTheHostsFlagsOutOfTheContainersReach) {
    ASSERT_EQ(::mount(source_.c_str(), source_.c_str(), nullptr, MS_BIND | MS_REC, nullptr), 0);
    ASSERT_EQ(::mount(nullptr, source_.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, nullptr), 0);
    auto json = config("mount -o remount,bind,rw,nodev /data; touch /data/x && echo written; grep /data /proc/mounts");
    in_user_namespace(json);
    for (const char* set : {"bounding", "effective", "permitted"}) {
        json["process"]["capabilities"][set] = {"CAP_SYS_ADMIN"};
    }
    json["mounts"].push_back(data({"rbind"}));
    auto result = run(json);
    EXPECT_EQ(result.out.find("written"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("/data"), std::string::npos) << result.err;
    json["mounts"].back() = data({"rbind", "rw"});
    result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("leave the opposite option out"), std::string::npos) << result.err;
}

}  // namespace
