// linux.devices and the default ones, made by root and bound in a user namespace.

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

class ShimDevices : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    Json in_user_namespace(Json json) const {
        constexpr unsigned first = 200000;
        json["linux"]["namespaces"].push_back({{"type", "user"}});
        json["linux"]["uidMappings"] = json["linux"]["gidMappings"] =
            Json::array({{{"containerID", 0}, {"hostID", first}, {"size", 1000}}});
        EXPECT_EQ(::chown(rootfs().c_str(), first, first), 0);
        for (const auto& entry : std::filesystem::recursive_directory_iterator(rootfs())) {
            EXPECT_EQ(::lchown(entry.path().c_str(), first, first), 0);
        }
        return json;
    }
    void expect_refused(const Json& json, const std::string& text) {
        const auto result = run(json);
        EXPECT_EQ(result.code, 125);
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    }
};

TEST_F(ShimDevices, MakesCharacterBlockAndFifoNodesWithModeAndOwner) {
    auto json = config(
        "stat -c '%F %a %u %g %t:%T' /dev/mine /dev/block /dev/deep/fifo /dev/plain; stat -c '%F %a %u %g' /other/u");
    json["linux"]["devices"] = Json::parse(R"([
        {"path":"/dev/mine","type":"c","major":1,"minor":7,"fileMode":416,"uid":12,"gid":34},
        {"path":"/dev/block","type":"b","major":7,"minor":300,"fileMode":384},
        {"path":"/dev/deep/fifo","type":"p","fileMode":432,"uid":5,"gid":6},
        {"path":"/dev/plain","type":"c","major":1,"minor":3},
        {"path":"/other/u","type":"u","major":1,"minor":5}])");
    const auto result = run(json);
    EXPECT_EQ(result.out,
              "character special file 640 12 34 1:7\nblock special file 600 0 0 7:12c\nfifo 660 5 6 0:0\n"
              "character special file 666 0 0 1:3\ncharacter special file 666 0 0\n")
        << result.err;
}

TEST_F(ShimDevices, LetsTheConfigurationReplaceADefaultDevice) {
    auto json = config("stat -c '%a %t:%T' /dev/null /dev/zero");
    json["linux"]["devices"] = Json::parse(R"([{"path":"/dev//null","type":"c","major":1,"minor":3,"fileMode":384}])");
    EXPECT_EQ(run(json).out, "600 1:3\n666 1:5\n");
}

TEST_F(ShimDevices, LinksCoreWhereTheKernelHasOne) {
    const auto result = run_line("readlink /dev/core || echo none");
    EXPECT_EQ(result.out, ::access("/proc/kcore", F_OK) == 0 ? "/proc/kcore\n" : "none\n") << result.err;
}

TEST_F(ShimDevices, TakesTheHostsDevicesOverInAUserNamespace) {
    auto json =
        in_user_namespace(config("stat -c '%F %t:%T' /dev/null /dev/tty /dev/fifo; echo x >/dev/null && echo works"));
    json["linux"]["devices"] = Json::parse(R"([{"path":"/dev/fifo","type":"p"}])");
    const auto result = run(json);
    EXPECT_EQ(result.out, "character special file 1:3\ncharacter special file 5:0\nfifo 0:0\nworks\n") << result.err;
    json["linux"]["devices"] = Json::parse(R"([{"path":"/dev/zero","type":"c","major":1,"minor":3}])");
    expect_refused(json, "the host has another device under that name");
    json["linux"]["devices"] = Json::parse(R"([{"path":"/dev/no-such-device","type":"c","major":1,"minor":3}])");
    expect_refused(json, "No such file");
}

TEST_F(ShimDevices, RefusesNonsense) {
    const auto refused = [&](const char* device, const std::string& text) {
        auto json = config("echo ran");
        json["linux"]["devices"] = Json::array({Json::parse(device)});
        expect_refused(json, text);
    };
    refused(R"({"path":"/dev/x","type":"x","major":1,"minor":3})", "linux.devices[0].type");
    refused(R"({"path":"dev/x","type":"c","major":1,"minor":3})", "linux.devices[0].path");
    refused(R"({"path":"/","type":"c","major":1,"minor":3})", "linux.devices[0].path");
    refused(R"({"path":"/dev/x","type":"c","major":-1,"minor":3})", "linux.devices[0]");
    refused(R"({"path":"/dev/pts","type":"c","major":1,"minor":3})", "File exists");
}

TEST_F(ShimDevices, FollowsNoLinkOfTheImageInADevicesPlace) {
    for (const bool user : {false, true}) {
        auto json = config("echo ran");
        json["mounts"].erase(2);
        json["mounts"].erase(1);
        std::filesystem::remove_all(rootfs("/dev"));
        std::filesystem::create_directories(rootfs("/dev"));
        std::filesystem::create_symlink("/etc/victim", rootfs("/dev/null"));
        std::ofstream(rootfs("/etc/victim")) << "as before";
        if (user) json = in_user_namespace(json);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << user << result.out;
        EXPECT_EQ(std::filesystem::file_size(rootfs("/etc/victim")), 9U);
    }
}

TEST_F(ShimDevices, LeavesADevThatIsBoundAlone) {
    std::filesystem::create_directories(dir_ / "dev");
    auto json = config("ls /dev");
    json["mounts"][1] = {{"destination", "/dev/"}, {"source", dir_ / "dev"}, {"options", {"rbind"}}};
    json["mounts"].erase(2);
    const auto result = run(json);
    EXPECT_EQ(result.out, "") << result.err;
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "dev"));
}

TEST_F(ShimDevices, ChangesNothingOnTheHostWhenTheImagesDevIsALink) {
    std::filesystem::create_directories(dir_ / "host-dev");
    std::ofstream(dir_ / "host-dev/ptmx") << "the host's";
    for (const std::string& target :
         {std::string(dir_ / "host-dev"), "../../../../../../../.." + (dir_ / "host-dev")}) {
        std::filesystem::remove_all(rootfs("/dev"));
        std::filesystem::create_symlink(target, rootfs("/dev"));
        auto json = config("true");
        json["mounts"].erase(2);
        json["mounts"].erase(1);
        run(json);
        const auto listing = std::filesystem::directory_iterator(dir_ / "host-dev");
        EXPECT_EQ(std::distance(begin(listing), end(listing)), 1) << target;
        EXPECT_EQ(std::filesystem::file_size(dir_ / "host-dev/ptmx"), 10U) << target;
    }
}

TEST_F(ShimDevices, PutsTheTerminalOnNoLinkOfTheImage) {
    for (const bool link : {false, true}) {
        std::filesystem::remove_all(rootfs("/dev"));
        std::filesystem::create_directories(rootfs("/dev/pts"));
        if (link) std::filesystem::create_symlink("/proc/sys/kernel/hostname", rootfs("/dev/console"));
        auto json = config("stat -c '%F' /dev/console; cat /proc/sys/kernel/hostname; echo end");
        json["process"]["terminal"] = true;
        json["mounts"].erase(1);
        write(json);
        auto [ours, theirs] = locald::posix::make_socket_pair();
        auto words = run_words();
        words.insert(words.end(), {"--console-fd", std::to_string(theirs.get())});
        locald::testing::Program program(command(words), dir_ / "run", uid_, {theirs.get()});
        theirs.reset();
        if (link) {
            EXPECT_EQ(program.wait(), 125);
            EXPECT_NE(program.err().find("/dev/console in the image is a link"), std::string::npos) << program.err();
            continue;
        }
        const auto master = locald::posix::receive_fd(ours);
        std::string text;
        std::array<char, 256> block{};
        for (ssize_t n = 0; (n = ::read(master.get(), block.data(), block.size())) > 0;) {
            text.append(block.data(), static_cast<std::size_t>(n));
        }
        EXPECT_EQ(program.wait(), 0) << program.err();
        EXPECT_EQ(text, "character special file\r\nbox\r\nend\r\n");
    }
}

}  // namespace
