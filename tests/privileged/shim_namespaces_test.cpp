// Namespaces that exist already, of every kind and of other owners, joined by path.

#include <sched.h>
#include <sys/prctl.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

/// A process that holds new namespaces open until the test ends.
class Holder {
public:
    /// @param user_flags  made together with a user namespace that maps 0 to `first`; 0 when there is none
    /// @param flags  made by us, before the user namespace
    explicit Holder(int flags, int user_flags = 0, unsigned first = 0) {
        auto [ours, theirs] = locald::posix::make_socket_pair();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::unshare(flags) != 0 || (user_flags != 0 && ::unshare(CLONE_NEWUSER | user_flags) != 0)) ::_exit(1);
            // A pid namespace lives from its first process on.
            const pid_t inner = ((flags | user_flags) & CLONE_NEWPID) != 0 ? ::fork() : -1;
            if (inner == 0) {
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;) ::pause();
            }
            static_cast<void>(::write(theirs.get(), "x", 1));
            for (;;) ::pause();
        }
        theirs.reset();
        char byte = 0;
        EXPECT_EQ(::read(ours.get(), &byte, 1), 1) << "the namespaces could not be made";
        if (user_flags != 0) {
            const std::string map = "0 " + std::to_string(first) + " 1000\n";
            std::ofstream("/proc/" + std::to_string(pid_) + "/uid_map") << map;
            std::ofstream("/proc/" + std::to_string(pid_) + "/gid_map") << map;
        }
    }
    ~Holder() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

    std::string path(const std::string& name) const {
        const bool for_children = name == "pid" || name == "time";
        return "/proc/" + std::to_string(pid_) + "/ns/" + name + (for_children ? "_for_children" : "");
    }
    std::string id(const std::string& name) const { return std::filesystem::read_symlink(path(name)).string(); }

private:
    pid_t pid_ = -1;
};

struct Kind {
    const char* type;
    const char* file;
    int flag;
};
constexpr std::array kinds{Kind{"pid", "pid", CLONE_NEWPID},          Kind{"network", "net", CLONE_NEWNET},
                           Kind{"ipc", "ipc", CLONE_NEWIPC},          Kind{"uts", "uts", CLONE_NEWUTS},
                           Kind{"cgroup", "cgroup", CLONE_NEWCGROUP}, Kind{"time", "time", CLONE_NEWTIME}};

class ShimNamespaces : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    static void set_namespace(Json& json, const std::string& type, const std::string& path) {
        auto& list = json["linux"]["namespaces"];
        for (auto& entry : list) {
            if (entry["type"] == type) entry.erase("path");
            if (entry["type"] == type && !path.empty()) entry["path"] = path;
            if (entry["type"] == type) return;
        }
        list.push_back({{"type", type}});
        if (!path.empty()) list.back()["path"] = path;
    }
    static void set_maps(Json& json, unsigned first) {
        const auto map = Json::array({{{"containerID", 0}, {"hostID", first}, {"size", 1000}}});
        json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = map;
    }
    /// Gives the root filesystem to the root of a user namespace.
    void own_rootfs(uid_t owner) const {
        ASSERT_EQ(::chown(rootfs().c_str(), owner, owner), 0);
        for (const auto& entry : std::filesystem::recursive_directory_iterator(rootfs())) {
            ASSERT_EQ(::lchown(entry.path().c_str(), owner, owner), 0);
        }
    }
    static std::string all_links() {
        std::string line;
        for (const auto& kind : kinds) line += std::string("readlink /proc/self/ns/") + kind.file + ";";
        return line;
    }
};

TEST_F(ShimNamespaces, JoinsEachKindByPath) {
    for (const auto& kind : kinds) {
        const Holder holder(kind.flag);
        auto json = config(std::string("readlink /proc/self/ns/") + kind.file);
        set_namespace(json, kind.type, holder.path(kind.file));
        const auto result = run(json);
        EXPECT_EQ(result.out, holder.id(kind.file) + "\n") << kind.type << ": " << result.err;
    }
}

TEST_F(ShimNamespaces, JoinsAllOfThemWithTheUserNamespaceThatOwnsThem) {
    constexpr unsigned first = 200000;
    int flags = 0;
    for (const auto& kind : kinds) flags |= kind.flag;
    const Holder holder(0, flags, first);
    own_rootfs(first);
    auto json = config("id -u; touch /made; readlink /proc/self/ns/user;" + all_links());
    for (const auto& kind : kinds) set_namespace(json, kind.type, holder.path(kind.file));
    set_namespace(json, "user", holder.path("user"));
    set_maps(json, first);
    const auto result = run(json);
    std::string wanted = "0\n" + holder.id("user") + "\n";
    for (const auto& kind : kinds) wanted += holder.id(kind.file) + "\n";
    EXPECT_EQ(result.out, wanted) << result.err;
    struct stat st {};
    ASSERT_EQ(::stat(rootfs("/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, first);
}

TEST_F(ShimNamespaces, JoinsTheHostsNamespacesBesideAUserNamespaceThatDoesNotOwnThem) {
    constexpr unsigned first = 200000;
    const Holder hosts(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
    const Holder user(0, CLONE_NEWCGROUP, first);
    own_rootfs(first);
    for (const bool fresh : {false, true}) {
        auto json = config("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts");
        json.erase("hostname");
        json["mounts"].erase(3);  // sysfs wants a network namespace of its own
        for (const std::string name : {"ipc", "uts"}) set_namespace(json, name, hosts.path(name));
        set_namespace(json, "network", hosts.path("net"));
        set_namespace(json, "user", fresh ? "" : user.path("user"));
        if (fresh) set_maps(json, first);
        const auto result = run(json);
        EXPECT_EQ(result.out, hosts.id("net") + "\n" + hosts.id("ipc") + "\n" + hosts.id("uts") + "\n")
            << fresh << result.err;
    }
}

TEST_F(ShimNamespaces, MakesNewOnesInsideAUserNamespaceThatIsJoined) {
    constexpr unsigned first = 200000;
    const Holder holder(0, CLONE_NEWCGROUP, first);
    own_rootfs(first);
    auto json = config("id -u; cat /proc/self/uid_map | tr -s ' '; hostname; echo $$; cat /proc/self/timens_offsets");
    std::filesystem::create_symlink("busybox", rootfs("/bin/tr"));
    set_namespace(json, "user", holder.path("user"));
    set_namespace(json, "time", "");
    json["linux"]["timeOffsets"] = {{"monotonic", {{"secs", 100}}}, {"boottime", {{"secs", -3}, {"nanosecs", 5}}}};
    const auto result = run(json);
    std::string out = result.out;
    std::erase_if(out, [](char c) { return c == ' '; });
    EXPECT_EQ(out, "0\n02000001000\nbox\n1\nmonotonic1000\nboottime-35\n") << result.err;
}

TEST_F(ShimNamespaces, GivesTheMessageQueuesToRootOfAUserNamespace) {
    constexpr unsigned first = 200000;
    const Holder holder(0, CLONE_NEWCGROUP, first);
    own_rootfs(first);
    for (const bool joined : {false, true}) {
        auto json = config("stat -c '%u:%g %a' /dev/mqueue");
        json["mounts"].push_back({{"destination", "/dev/mqueue"}, {"type", "mqueue"}, {"source", "mqueue"}});
        set_namespace(json, "user", joined ? holder.path("user") : "");
        if (!joined) set_maps(json, first);
        const auto result = run(json);
        EXPECT_EQ(result.out, "0:0 1777\n") << joined << result.err;
    }
}

TEST_F(ShimNamespaces, ShiftsTheClocksOfANewTimeNamespace) {
    constexpr unsigned first = 200000;
    for (const bool user : {false, true}) {
        auto json = config("cat /proc/uptime; readlink /proc/self/ns/time");
        set_namespace(json, "time", "");
        json["linux"]["timeOffsets"] = {{"boottime", {{"secs", 100'000'000}}}};
        if (user) {
            own_rootfs(first);
            set_namespace(json, "user", "");
            set_maps(json, first);
        }
        const auto result = run(json);
        EXPECT_GT(std::atof(result.out.c_str()), 100'000'000.0) << user << result.err;
        EXPECT_EQ(result.out.find(std::filesystem::read_symlink("/proc/self/ns/time").string()), std::string::npos);
    }
    auto json = config("true");
    set_namespace(json, "time", "");
    json["linux"]["timeOffsets"] = {{"boottime", {{"secs", -1'000'000'000}}}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("linux.timeOffsets"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("Numerical result out of range"), std::string::npos) << result.err;
}

TEST_F(ShimNamespaces, RunsTheRuntimesHooksInItsOwnPidNamespaceWhateverTheContainerJoins) {
    const Holder holder(CLONE_NEWPID);
    auto json = config("true");
    set_namespace(json, "pid", holder.path("pid"));
    const std::string log = dir_ / "log";
    const auto hook = Json::array(
        {{{"path", "/bin/busybox"}, {"args", {"sh", "-c", "/bin/busybox readlink /proc/self/ns/pid >>" + log}}}});
    json["hooks"] = {{"createRuntime", hook}, {"poststart", hook}, {"poststop", hook}};
    EXPECT_EQ(run(json).code, 0);
    const std::string own = std::filesystem::read_symlink("/proc/self/ns/pid").string() + "\n";
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    EXPECT_EQ(text.str(), own + own + own);
}

TEST_F(ShimNamespaces, RefusesPathsThatAreNotTheNamespaceTheyAreNamedFor) {
    const auto refused = [&](const std::string& type, const std::string& path, const std::string& text) {
        auto json = config("echo ran");
        set_namespace(json, type, path);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << type << " " << path;
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err.find(text), std::string::npos) << type << " " << path << ": " << result.err;
    };
    for (const auto& kind : kinds) {
        const std::string other = kind.flag == CLONE_NEWNET ? "uts" : "net";
        refused(kind.type, "/proc/self/ns/" + other, "it is a " + std::string(other == "net" ? "network" : other));
    }
    refused("network", "/proc/self/ns/nothing", "No such file");
    refused("network", "/etc/passwd", "is not a namespace");
    refused("network", "/dev/null", "is not a namespace");
    ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
    refused("network", dir_ / "fifo", "is not a namespace");
}

TEST_F(ShimNamespaces, RefusesMapsThatAreNotThoseOfTheUserNamespaceThatIsJoined) {
    const Holder holder(0, CLONE_NEWCGROUP, 200000);
    auto json = config("echo ran");
    set_namespace(json, "user", holder.path("user"));
    set_maps(json, 300000);
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("both namespace path and non-matching mapping specified"), std::string::npos)
        << result.err;
}

TEST_F(ShimNamespaces, TakesTheUserNamespaceItIsInAsNone) {
    auto json = config("readlink /proc/self/ns/user");
    set_namespace(json, "user", "/proc/" + std::to_string(::getpid()) + "/ns/user");
    const auto result = run(json);
    EXPECT_EQ(result.out, std::filesystem::read_symlink("/proc/self/ns/user").string() + "\n") << result.err;
}

}  // namespace
