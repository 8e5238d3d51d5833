// Containers that have mounts in a mount namespace that others are in too, the host's or another's: all of theirs is
// there while they live, and nothing of it afterwards, however they end.

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/mount_table.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::mount_on;
using locald::testing::parse_mountinfo;
using locald::testing::Program;
using locald::testing::ShimTest;

std::string read_text(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

class ShimSharedMounts : public ShimTest {
protected:
    static void SetUpTestSuite() { locald::testing::become_host_of_shared_mounts(); }
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::filesystem::create_directories(source_);
        ASSERT_EQ(::mount("source", source_.c_str(), "tmpfs", 0, nullptr), 0);
        std::filesystem::create_directories(source_ + "/sub");
        ASSERT_EQ(::mount("sub", (source_ + "/sub").c_str(), "tmpfs", 0, nullptr), 0);
        std::ofstream(source_ + "/sub/file") << "the host's\n";
        before_ = host_table();
    }
    void TearDown() override {
        for (const pid_t holder : holders_) {
            ::kill(holder, SIGKILL);
            ::waitpid(holder, nullptr, 0);
        }
        ::umount2((source_ + "/sub").c_str(), MNT_DETACH);
        ::umount2(source_.c_str(), MNT_DETACH);
        EXPECT_EQ(leftovers_soon(), "");
    }
    static std::string host_table() { return read_text("/proc/self/mountinfo"); }
    /// Those of the container that are seen in a table.
    std::vector<std::string> places(const std::string& table) const {
        std::vector<std::string> found;
        for (const auto& line : parse_mountinfo(table)) {
            if (line.target.starts_with(rootfs())) found.push_back(line.target.substr(rootfs().size()));
        }
        return found;
    }
    /// @param path  of the namespace; empty: the host's
    Json shared(const std::string& line, const std::string& path = "") const {
        Json json = config(line);
        auto& list = json["linux"]["namespaces"];
        list.erase(std::find_if(list.begin(), list.end(), [](const auto& entry) { return entry["type"] == "mount"; }));
        if (!path.empty()) list.push_back({{"type", "mount"}, {"path", path}});
        json["linux"]["maskedPaths"] = {"/proc/version"};
        json["mounts"].push_back({{"destination", "/data"}, {"source", source_}, {"options", {"rbind"}}});
        return json;
    }
    static Json with_admin(Json json) {
        for (const char* set : {"bounding", "effective", "permitted"}) {
            json["process"]["capabilities"][set] = {"CAP_SYS_ADMIN", "CAP_KILL"};
        }
        return json;
    }
    Json bundle_words(const char* verb) const { return {verb, "--bundle", dir_ / "bundle", id_}; }
    locald::testing::Result make(const Json& json, const char* verb = "create") {
        write(json);
        std::vector<std::string> words{verb};
        if (std::string(verb) == "run") words.emplace_back("--detach");
        words.insert(words.end(), {"--bundle", dir_ / "bundle", id_});
        return call(words);
    }
    /// A process in a mount namespace of its own, or in that of `other`.
    pid_t hold(pid_t other = 0, unsigned long propagation = MS_PRIVATE) {
        auto [ours, theirs] = locald::posix::make_socket_pair();
        const pid_t holder = ::fork();
        if (holder == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (other == 0) {
                if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | propagation, nullptr) != 0) {
                    ::_exit(1);
                }
            } else {
                const auto fd = locald::posix::open("/proc/" + std::to_string(other) + "/ns/mnt", O_RDONLY);
                if (::setns(fd.get(), CLONE_NEWNS) != 0) ::_exit(1);
            }
            static_cast<void>(::write(theirs.get(), "x", 1));
            for (;;) ::pause();
        }
        holders_.push_back(holder);
        theirs.reset();
        char byte = 0;
        EXPECT_EQ(::read(ours.get(), &byte, 1), 1);
        return holder;
    }
    static std::string path_of(pid_t holder) { return "/proc/" + std::to_string(holder) + "/ns/mnt"; }
    static std::string table_of(pid_t holder) { return read_text("/proc/" + std::to_string(holder) + "/mountinfo"); }

    const std::string source_ = dir_ / "source";
    std::string before_;
    std::vector<pid_t> holders_;
};

TEST_F(ShimSharedMounts, RunHasAllMountsAndLeavesNone) {
    auto json = shared(
        "cat /data/sub/file; ls /dev/null /dev/pts/ptmx; cat /proc/version; echo x > /proc/sys/kernel/hostname; touch "
        "/made; "
        "readlink /proc/self/ns/mnt");
    json["root"]["readonly"] = true;
    json["linux"]["rootfsPropagation"] = "rprivate";
    const auto result = run(json);
    const auto own = std::filesystem::read_symlink("/proc/self/ns/mnt").string();
    EXPECT_EQ(result.out, "the host's\n/dev/null\n/dev/pts/ptmx\n" + own + "\n") << result.err;
    EXPECT_NE(result.err.find("create /proc/sys/kernel/hostname: Read-only"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("touch: /made: Read-only"), std::string::npos) << result.err;
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, DeleteTakesAwayWhatCreateMade) {
    ASSERT_EQ(make(shared(stay())).code, 0);
    const auto seen = places(host_table());
    for (const char* place : {"", "/proc", "/dev", "/dev/pts", "/sys", "/data", "/data/sub", "/proc/version"}) {
        EXPECT_NE(std::find(seen.begin(), seen.end(), place), seen.end()) << place;
    }
    for (const auto& line : parse_mountinfo(host_table())) {
        if (!line.target.starts_with(rootfs())) continue;
        EXPECT_TRUE(line.fields.empty()) << line.target << " is a peer";
    }
    ASSERT_EQ(call({"start", id_}).code, 0);
    EXPECT_EQ(call({"exec", id_, "/bin/cat", "/data/sub/file"}).out, "the host's\n");
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(host_table(), before_);
    EXPECT_EQ(read_text(source_ + "/sub/file"), "the host's\n");
}

TEST_F(ShimSharedMounts, WhoSeesTheHostsMountsSeesTheRootAloneAndLosesItToo) {
    const pid_t watcher = hold(0, MS_SLAVE);
    const std::string before = table_of(watcher);
    ASSERT_EQ(make(shared(stay())).code, 0);
    EXPECT_EQ(places(table_of(watcher)), std::vector<std::string>{""});
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(table_of(watcher), before);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, AKilledCreateLeavesWhatDeleteFinds) {
    auto json = shared("true");
    json["hooks"]["createRuntime"] = {{{"path", "/bin/busybox"}, {"args", {"sleep", "1000"}}}};
    write(json);
    {
        Program create(command(bundle_words("create").get<std::vector<std::string>>()), dir_ / "create");
        for (int i = 0; i < 500 && places(host_table()).size() < 7; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ::kill(-create.pid(), SIGKILL);  // the hook too
        create.wait();
    }
    EXPECT_GE(places(host_table()).size(), 7U) << "it was killed before it had mounted";
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, ACreateThatIsKilledAnywhereLeavesNothing) {
    write(shared("true"));
    for (int i = 0; i < 60; ++i) {
        Program create(command(bundle_words("create").get<std::vector<std::string>>()), dir_ / "create");
        std::this_thread::sleep_for(std::chrono::microseconds(i * 300));
        create.signal(SIGKILL);
        create.wait();
        const auto result = call({"delete", "--force", id_});
        ASSERT_EQ(result.code, 0) << result.err;
        ASSERT_EQ(host_table(), before_) << i;
    }
}

TEST_F(ShimSharedMounts, AFailedCreateLeavesNothing) {
    auto json = shared("true");
    json["mounts"].push_back({{"destination", "/late"}, {"source", "/no/such"}, {"options", {"bind"}}});
    EXPECT_NE(make(json).code, 0);
    EXPECT_EQ(host_table(), before_);
    json = shared("true");
    json["process"]["args"] = {"/no/such"};
    EXPECT_NE(run(json).code, 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, AnothersNamespaceByPath) {
    const pid_t holder = hold();
    const std::string before = table_of(holder);
    ASSERT_EQ(make(shared(stay(), path_of(holder)), "run").code, 0);
    EXPECT_GE(places(table_of(holder)).size(), 8U);
    EXPECT_EQ(host_table(), before_);
    EXPECT_EQ(call({"exec", id_, "/bin/cat", "/data/sub/file"}).out, "the host's\n");
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(table_of(holder), before);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, AnothersNamespaceIsFoundWhenItsPathIsGone) {
    const pid_t first = hold();
    const pid_t second = hold(first);
    const std::string before = table_of(second);
    ASSERT_EQ(make(shared("true", path_of(first)), "run").code, 0);
    EXPECT_GE(places(table_of(second)).size(), 8U);
    ::kill(first, SIGKILL);
    ::waitpid(first, nullptr, 0);
    std::erase(holders_, first);
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(table_of(second), before);
}

TEST_F(ShimSharedMounts, ANamespaceThatHasEndedNeedsNothing) {
    const pid_t holder = hold();
    ASSERT_EQ(make(shared("true", path_of(holder)), "run").code, 0);
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    holders_.clear();
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
}

TEST_F(ShimSharedMounts, WhatTheContainerPutsOverItsRootGoesToo) {
    ASSERT_EQ(make(with_admin(shared("mount -t tmpfs over / && " + stay())), "run").code, 0);
    for (int i = 0; i < 500 && mount_on(host_table(), rootfs()).source != "over"; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(mount_on(host_table(), rootfs()).source, "over");
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, AMountOfTheHostInItsPlaceStays) {
    ASSERT_EQ(make(shared(stay())).code, 0);
    // Where the mount was there is now another, which is the host's; the mount itself goes with its directory.
    std::filesystem::rename(dir_ / "bundle", dir_ / "moved");
    std::filesystem::create_directories(rootfs());
    ASSERT_EQ(::mount("hosts", rootfs().c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(mount_on(host_table(), rootfs()).source, "hosts");
    EXPECT_EQ(host_table().find("/moved/"), std::string::npos);
    ASSERT_EQ(::umount(rootfs().c_str()), 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, WhatHidesItIsNotTouchedAndDeleteSaysSo) {
    ASSERT_EQ(make(shared(stay())).code, 0);
    const std::string place = dir_ / "bundle";
    ASSERT_EQ(::mount("hides", place.c_str(), "tmpfs", 0, nullptr), 0);
    const auto result = call({"delete", "--force", id_});
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("another mount hides " + rootfs()), std::string::npos) << result.err;
    EXPECT_EQ(mount_on(host_table(), place).source, "hides");
    ASSERT_EQ(::umount(place.c_str()), 0);
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, WhatTheHostUnmountedIsNotLookedForAgain) {
    ASSERT_EQ(make(shared(stay())).code, 0);
    ASSERT_EQ(::umount2(rootfs().c_str(), MNT_DETACH), 0);
    // The next mounts get the numbers that are free now.
    for (int i = 0; i < 20; ++i) ASSERT_EQ(::mount("hosts", rootfs().c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(call({"delete", "--force", id_}).code, 0);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(::umount(rootfs().c_str()), 0);
    EXPECT_EQ(host_table(), before_);
}

TEST_F(ShimSharedMounts, WhatOthersWouldSeeIsRefused) {
    const auto refused = [&](const Json& bad, const std::string& field) {
        const auto result = make(bad);
        EXPECT_EQ(result.code, 1);
        EXPECT_NE(result.err.find(field + ": not without a mount namespace of the container's own"), std::string::npos)
            << result.err;
        EXPECT_EQ(host_table(), before_);
    };
    auto bad = shared("true");
    bad["mounts"].back()["options"].push_back("rshared");
    refused(bad, "mounts[4].options: shared");
    bad = shared("true");
    bad["linux"]["rootfsPropagation"] = "rslave";
    refused(bad, "linux.rootfsPropagation: rslave");
    bad = shared("true");
    bad["linux"]["namespaces"].push_back({{"type", "user"}});
    for (const char* maps : {"uidMappings", "gidMappings"}) {
        bad["linux"][maps] = {{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}};
    }
    refused(bad, "mounts");
}

}  // namespace
