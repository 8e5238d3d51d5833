// What the host sees of the container's mounts and the container of the host's; containers without mounts of their own.

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/mount_table.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::mount_on;
using locald::testing::Program;
using locald::testing::ShimTest;

class ShimPropagation : public ShimTest {
protected:
    static void SetUpTestSuite() { locald::testing::become_host_of_shared_mounts(); }
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::filesystem::create_directories(source_);
        ASSERT_EQ(::mount("source", source_.c_str(), "tmpfs", 0, nullptr), 0);
        std::filesystem::create_directories(source_ + "/sub");
        std::filesystem::create_directories(source_ + "/later");
    }
    void TearDown() override {
        while (::umount2((source_ + "/sub").c_str(), MNT_DETACH) == 0) {
        }
        while (::umount2((source_ + "/later").c_str(), MNT_DETACH) == 0) {
        }
        ::umount2(source_.c_str(), MNT_DETACH);
        EXPECT_EQ(leftovers_soon(), "");
    }
    static Json with_admin(Json json) {
        for (const char* set : {"bounding", "effective", "permitted"}) {
            json["process"]["capabilities"][set] = {"CAP_SYS_ADMIN", "CAP_KILL"};
        }
        return json;
    }
    Json bind(const std::string& propagation) const {
        Json options = {"rbind"};
        if (!propagation.empty()) options.push_back(propagation);
        return {{"destination", "/data"}, {"source", source_}, {"options", options}};
    }
    static std::string host_table() {
        std::stringstream text;
        text << std::ifstream("/proc/self/mountinfo").rdbuf();
        return text.str();
    }
    static void without_mounts(Json& json) {
        json["mounts"] = Json::array();
        json["linux"].erase("maskedPaths");
        json["linux"].erase("readonlyPaths");
        auto& list = json["linux"]["namespaces"];
        list.erase(std::find_if(list.begin(), list.end(), [](const auto& entry) { return entry["type"] == "mount"; }));
    }
    /// The root filesystem as a mount of the host.
    const std::string source_ = dir_ / "source";
};

TEST_F(ShimPropagation, GivesTheRootThePropagationThatIsAskedFor) {
    const std::string before = host_table();
    for (const char* name :
         {"", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"}) {
        auto json = config("cat /proc/self/mountinfo");
        if (*name != '\0') json["linux"]["rootfsPropagation"] = name;
        json["mounts"].push_back(bind(""));
        const auto result = run(json);
        ASSERT_EQ(result.code, 0) << name << result.err;
        const std::string kind = *name == 'r' ? name + 1 : name;
        for (const char* place : {"/", "/proc"}) {
            const bool applies = *place == '/' && (place[1] == '\0' || *name == 'r');
            const auto line = mount_on(result.out, place);
            EXPECT_EQ(line.has_field("shared:"), applies && kind == "shared") << name << place << "\n" << result.out;
            EXPECT_TRUE(!mount_on(result.out, "/proc/keys").has_field("master:")) << name << "\n" << result.out;
            EXPECT_EQ(line.has_field("unbindable"), applies && kind == "unbindable") << name << place << "\n"
                                                                                     << result.out;
        }
        EXPECT_EQ(mount_on(result.out, "/").has_field("master:"), kind == "slave") << name << "\n" << result.out;
        EXPECT_EQ(host_table(), before) << name;
    }
}

TEST_F(ShimPropagation, ShowsTheContainersMountsToTheHostOnlyThroughSharedBinds) {
    for (const char* name : {"", "rprivate", "rslave", "rshared"}) {
        auto json = with_admin(config("mount -t tmpfs inside /data/sub && echo mounted"));
        json["linux"]["rootfsPropagation"] = "rshared";
        json["mounts"].push_back(bind(name));
        const auto result = run(json);
        EXPECT_EQ(result.out, "mounted\n") << result.err;
        const bool seen = mount_on(host_table(), source_ + "/sub").source == "inside";
        if (*name != '\0') {
            EXPECT_EQ(seen, std::string(name) == "rshared") << name;
        }
        while (::umount2((source_ + "/sub").c_str(), MNT_DETACH) == 0) {
        }
    }
}

TEST_F(ShimPropagation, SaysNothingAboutBindsByAValueThatIsNotRecursive) {
    for (const char* root : {"private", "slave", "unbindable", "shared"}) {
        auto json = with_admin(config("mount -t tmpfs inside /data/sub; cat /proc/self/mountinfo"));
        json["linux"]["rootfsPropagation"] = root;
        json["mounts"].push_back(bind("rshared"));
        auto plain = bind("");
        plain["destination"] = "/plain";
        json["mounts"].push_back(plain);
        const auto result = run(json);
        EXPECT_EQ(mount_on(host_table(), source_ + "/sub").source, "inside") << root << result.out << result.err;
        EXPECT_EQ(mount_on(result.out, "/plain").has_field("shared:"), std::string(root) == "shared") << root << "\n"
                                                                                                      << result.out;
        EXPECT_EQ(mount_on(result.out, "/plain").has_field("master:"), std::string(root) == "slave") << root << "\n"
                                                                                                     << result.out;
        while (::umount2((source_ + "/sub").c_str(), MNT_DETACH) == 0) {
        }
    }
}

TEST_F(ShimPropagation, KeepsTheRootAndOtherBindsPrivateWhenOneBindIsASlave) {
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back(bind("rslave"));
    auto plain = bind("");
    plain["destination"] = "/plain";
    json["mounts"].push_back(plain);
    const auto result = run(json);
    EXPECT_TRUE(mount_on(result.out, "/data").has_field("master:")) << result.out << result.err;
    EXPECT_TRUE(mount_on(result.out, "/").fields.empty()) << result.out;
    EXPECT_TRUE(mount_on(result.out, "/plain").fields.empty()) << result.out;
}

TEST_F(ShimPropagation, ShowsTheHostsLaterMountsOnlyThroughBindsThatAreSlavesOrShared) {
    for (const char* name : {"", "rprivate", "rslave", "rshared"}) {
        auto json = config("echo up; while [ ! -e /data/go ]; do sleep 0.02; done; cat /proc/self/mountinfo");
        json["mounts"].push_back(bind(name));
        if (std::string(name) == "rshared") json["linux"]["rootfsPropagation"] = "rshared";
        write(json);
        Program program(command(run_words()), dir_ / "run");
        ASSERT_TRUE(program.wait_for_output("up")) << program.err();
        ASSERT_EQ(::mount("later", (source_ + "/later").c_str(), "tmpfs", 0, nullptr), 0);
        std::ofstream(source_ + "/go") << "";
        EXPECT_EQ(program.wait(), 0) << program.err();
        const bool wanted = std::string(name) == "rslave" || std::string(name) == "rshared";
        EXPECT_EQ(mount_on(program.out(), "/data/later").source == "later", wanted) << name << "\n" << program.out();
        ASSERT_EQ(::umount2((source_ + "/later").c_str(), MNT_DETACH), 0);
        std::filesystem::remove(source_ + "/go");
    }
}

TEST_F(ShimPropagation, LeavesTheHostsMountsAloneWhenTheRootIsAMountOfItsOwn) {
    ASSERT_EQ(::mount(rootfs().c_str(), rootfs().c_str(), nullptr, MS_BIND, nullptr), 0);
    const std::string before = host_table();
    for (const char* name : {"", "rslave", "rshared"}) {
        auto json = config("cat /proc/self/mountinfo");
        if (*name != '\0') json["linux"]["rootfsPropagation"] = name;
        EXPECT_EQ(run(json).code, 0) << name;
        EXPECT_EQ(host_table(), before) << name;
    }
    ASSERT_EQ(::umount2(rootfs().c_str(), MNT_DETACH), 0);
}

TEST_F(ShimPropagation, SetsThePropagationOfEachMount) {
    for (const char* name :
         {"private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"}) {
        auto json = config("cat /proc/self/mountinfo");
        json["mounts"].push_back(bind(name));
        json["mounts"].push_back({{"destination", "/new"}, {"type", "tmpfs"}, {"source", "new"}, {"options", {name}}});
        const auto result = run(json);
        ASSERT_EQ(result.code, 0) << result.err;
        const std::string kind = *name == 'r' ? name + 1 : name;
        const auto line = mount_on(result.out, "/data");
        EXPECT_EQ(line.has_field("shared:"), kind == "shared") << name << result.out;
        if (kind == "slave") {
            EXPECT_TRUE(line.has_field("master:")) << name << result.out;
        } else if (kind == "private") {
            EXPECT_TRUE(line.fields.empty()) << name << result.out;
        }
        EXPECT_EQ(line.has_field("unbindable"), kind == "unbindable") << name << result.out;
        EXPECT_EQ(mount_on(result.out, "/new").has_field("shared:"), kind == "shared") << name << result.out;
    }
}

TEST_F(ShimPropagation, RefusesAnUnknownPropagation) {
    auto json = config("true");
    json["linux"]["rootfsPropagation"] = "sharedish";
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("rootfsPropagation=sharedish is not supported"), std::string::npos) << result.err;
}

TEST_F(ShimPropagation, MovesTheRootWhereItCannotBePivoted) {
    const std::string before = host_table();
    for (const char* name : {"", "rslave", "rshared"}) {
        auto json = with_admin(config("ls /bin/sh; ls /etc/passwd; grep -c ' - proc ' /proc/self/mountinfo; pwd"));
        if (*name != '\0') json["linux"]["rootfsPropagation"] = name;
        write(json);
        auto words = run_words();
        words.push_back("--no-pivot");
        const auto result = call(words);
        EXPECT_EQ(result.out.substr(0, 8), "/bin/sh\n") << name << result.err;
        EXPECT_EQ(result.out.find("/etc/passwd"), std::string::npos);
        EXPECT_NE(result.out.find("/\n"), std::string::npos) << result.out;
        EXPECT_EQ(host_table(), before) << name;
    }
    auto json = config("true");
    json["linux"]["rootfsPropagation"] = "rprivate";
    write(json);
    auto words = run_words();
    words.push_back("--no-pivot");
    const auto result = call(words);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("rootfsPropagation of [r]private is not safe without pivot_root"), std::string::npos);
}

TEST_F(ShimPropagation, RunsWithoutAMountNamespaceWhenThereIsNothingToMount) {
    const std::string before = host_table();
    auto json = config("pwd; ls -d /bin /etc/passwd; touch /made");
    without_mounts(json);
    const auto result = run(json);
    EXPECT_EQ(result.out, "/\n/bin\n") << result.err;
    EXPECT_TRUE(std::filesystem::exists(rootfs("/made")));
    EXPECT_TRUE(std::filesystem::is_empty(rootfs("/dev"))) << "no devices are made on the host";
    EXPECT_EQ(host_table(), before);
}

TEST_F(ShimPropagation, JoinsAMountNamespaceByPathAndFindsItsRootThere) {
    auto [ours, theirs] = locald::posix::make_socket_pair();
    const pid_t holder = ::fork();
    if (holder == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const bool made = ::unshare(CLONE_NEWNS) == 0 &&
                          ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          ::mount("held", rootfs("/tmp").c_str(), "tmpfs", 0, nullptr) == 0;
        if (made) std::ofstream(rootfs("/tmp/held")) << "seen\n";
        static_cast<void>(::write(theirs.get(), "x", 1));
        for (;;) ::pause();
    }
    char byte = 0;
    ASSERT_EQ(::read(ours.get(), &byte, 1), 1);
    auto json = config("cat /tmp/held; ls -d /bin");
    without_mounts(json);
    json["linux"]["namespaces"].push_back({{"type", "mount"}, {"path", "/proc/" + std::to_string(holder) + "/ns/mnt"}});
    const auto result = run(json);
    EXPECT_EQ(result.out, "seen\n/bin\n") << result.err;
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
}

}  // namespace
