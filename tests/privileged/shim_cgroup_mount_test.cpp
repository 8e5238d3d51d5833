// /sys/fs/cgroup inside, for each layout that a host can have, with and without a cgroup namespace.

#include <sched.h>
#include <sys/mount.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/mount_table.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::mount_on;
using locald::testing::ShimTest;

/// Another /sys/fs/cgroup for as long as this lives.
class View {
public:
    View() : before_(locald::posix::open("/proc/self/ns/mnt", O_RDONLY)), place_(locald::posix::open(".", O_PATH)) {
        EXPECT_EQ(::unshare(CLONE_NEWNS), 0);
        EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    ~View() {
        EXPECT_EQ(::setns(before_.get(), CLONE_NEWNS), 0);
        EXPECT_EQ(::fchdir(place_.get()), 0);
    }
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    static void v2() {
        ASSERT_EQ(::umount2("/sys/fs/cgroup", MNT_DETACH), 0);
        ASSERT_EQ(::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr), 0);
    }
    static void v1() { ASSERT_EQ(::umount2("/sys/fs/cgroup/unified", MNT_DETACH), 0); }

private:
    locald::posix::UniqueFd before_, place_;
};

class ShimCgroupMount : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    static bool hybrid() {
        return std::filesystem::exists("/sys/fs/cgroup/unified/cgroup.procs") &&
               std::filesystem::exists("/sys/fs/cgroup/pids/cgroup.procs");
    }
    static Json with_cgroups(const std::string& line, bool own_namespace, bool read_only) {
        auto json = config(line);
        Json options{"nosuid", "noexec", "nodev"};
        if (read_only) options.push_back("ro");
        json["mounts"].push_back(
            {{"destination", "/sys/fs/cgroup"}, {"type", "cgroup"}, {"source", "cgroup"}, {"options", options}});
        json["linux"]["resources"] = {{"pids", {{"limit", 50}}}};
        // All rights that could help to write.
        for (const char* set : {"bounding", "effective", "permitted"}) {
            json["process"]["capabilities"][set] = {"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"};
        }
        if (own_namespace) return json;
        auto& list = json["linux"]["namespaces"];
        list.erase(std::find_if(list.begin(), list.end(), [](const auto& entry) { return entry["type"] == "cgroup"; }));
        return json;
    }
    /// Tries to make a cgroup in `place`, says how that went, and shows all mounts.
    static std::string try_in(const std::string& place) {
        return "mkdir " + place + "/made 2>/dev/null && echo written || echo refused; rmdir " + place +
               "/made 2>/dev/null; cat /proc/self/mountinfo";
    }
};

TEST_F(ShimCgroupMount, HasEveryHierarchyOfAHybridHostInANamespaceOfItsOwn) {
    LOCALD_REQUIRE(hybrid(), "a hybrid cgroup layout");
    std::filesystem::create_symlink("busybox", rootfs("/bin/rmdir"));
    for (const bool read_only : {false, true}) {
        const auto result = run(with_cgroups(try_in("/sys/fs/cgroup/unified"), true, read_only));
        EXPECT_EQ(result.out.substr(0, 7), read_only ? "refused" : "written") << result.out << result.err;
        for (const std::string name : {"pids", "memory", "unified"}) {
            const auto line = mount_on(result.out, "/sys/fs/cgroup/" + name);
            EXPECT_EQ(line.type, name == "unified" ? "cgroup2" : "cgroup") << name << result.out;
            EXPECT_EQ(line.root, "/") << "the namespace begins at the container's cgroup";
            EXPECT_EQ(line.has("ro"), read_only) << name;
            EXPECT_TRUE(line.has("nosuid") && line.has("noexec") && line.has("nodev")) << name << line.options;
        }
        EXPECT_EQ(mount_on(result.out, "/sys/fs/cgroup").type, "tmpfs");
    }
}

TEST_F(ShimCgroupMount, WritesInANamespaceOfItsOwnOnlyToHierarchiesThatItHasACgroupIn) {
    LOCALD_REQUIRE(hybrid(), "a hybrid cgroup layout");
    std::filesystem::create_symlink("busybox", rootfs("/bin/rmdir"));
    for (const bool v1 : {false, true}) {
        const View view;
        if (v1) View::v1();
        auto json = with_cgroups("cat /proc/self/mountinfo", true, false);
        auto result = run(json);
        EXPECT_FALSE(mount_on(result.out, "/sys/fs/cgroup/pids").has("ro")) << result.out << result.err;
        // cpuset is not joined for a limit of processes: the namespace's root is the host's there.
        EXPECT_TRUE(mount_on(result.out, "/sys/fs/cgroup/cpuset").has("ro")) << result.out;
        EXPECT_EQ(mount_on(result.out, "/sys/fs/cgroup/unified").has("ro"), v1) << result.out;
        json["linux"].erase("resources");
        result = run(json);
        EXPECT_EQ(mount_on(result.out, "/sys/fs/cgroup/cpu").has("ro"), true) << result.out << result.err;
    }
}

TEST_F(ShimCgroupMount, ShowsItsOwnCgroupsOnlyWithoutANamespaceOnV1AndHybrid) {
    LOCALD_REQUIRE(hybrid(), "a hybrid cgroup layout");
    std::filesystem::create_symlink("busybox", rootfs("/bin/rmdir"));
    for (const bool v1 : {false, true}) {
        for (const bool read_only : {false, true}) {
            const View view;
            if (v1) View::v1();
            const auto result = run(with_cgroups(try_in("/sys/fs/cgroup/pids"), false, read_only));
            EXPECT_EQ(result.out.substr(0, 7), read_only ? "refused" : "written") << result.out << result.err;
            for (const std::string name : {"pids", "memory", "unified"}) {
                const auto line = mount_on(result.out, "/sys/fs/cgroup/" + name);
                EXPECT_EQ(line.target.empty(), v1 && name == "unified") << result.out;
                if (line.target.empty()) continue;
                EXPECT_TRUE(line.root.ends_with("/" + id_)) << name << " " << line.root;
                EXPECT_EQ(line.has("ro"), read_only) << name;
            }
            // Not joined for a limit of processes: what is shown is the runtime's own.
            EXPECT_TRUE(mount_on(result.out, "/sys/fs/cgroup/cpuset").has("ro")) << result.out;
            EXPECT_EQ(mount_on(result.out, "/sys/fs/cgroup").has("ro"), read_only) << result.out;
        }
    }
}

TEST_F(ShimCgroupMount, IsReadOnlyInAUserNamespaceWithoutACgroupNamespace) {
    std::filesystem::create_symlink("busybox", rootfs("/bin/rmdir"));
    for (const bool v2 : {false, true}) {
        const View view;
        if (v2 && !std::filesystem::exists("/sys/fs/cgroup/cgroup.procs")) View::v2();
        auto json = with_cgroups(try_in(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids"), false, false);
        if (v2) json["linux"].erase("resources");
        json["linux"]["namespaces"].push_back({{"type", "user"}});
        for (const char* maps : {"uidMappings", "gidMappings"}) {
            json["linux"][maps] = {{{"containerID", 0}, {"hostID", 0}, {"size", 65536}}};
        }
        const auto result = run(json);
        EXPECT_EQ(result.out.substr(0, 7), "refused") << v2 << result.out << result.err;
        for (const auto& line : locald::testing::parse_mountinfo(result.out)) {
            if (!line.target.starts_with("/sys/fs/cgroup")) continue;
            EXPECT_TRUE(line.has("ro")) << line.target;
        }
    }
}

TEST_F(ShimCgroupMount, LeavesTheOptionsOfTheHostsV2Alone) {
    const View view;
    if (!std::filesystem::exists("/sys/fs/cgroup/cgroup.procs")) View::v2();
    const auto options = [] {
        std::stringstream text;
        text << std::ifstream("/proc/self/mountinfo").rdbuf();
        return mount_on(text.str(), "/sys/fs/cgroup");
    };
    const bool delegates = options().has_super("nsdelegate");
    ASSERT_EQ(::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_REMOUNT, "nsdelegate"), 0);
    auto json = with_cgroups("cat /proc/self/mountinfo", false, false);
    json["linux"].erase("resources");
    const auto result = run(json);
    EXPECT_FALSE(mount_on(result.out, "/sys/fs/cgroup").has("ro")) << result.out << result.err;
    EXPECT_TRUE(options().has_super("nsdelegate"));
    if (delegates) return;
    EXPECT_EQ(::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_REMOUNT, nullptr), 0);
}

TEST_F(ShimCgroupMount, HasTheOneTreeOfAV2Host) {
    std::filesystem::create_symlink("busybox", rootfs("/bin/rmdir"));
    const View view;
    if (!std::filesystem::exists("/sys/fs/cgroup/cgroup.procs")) View::v2();
    for (const bool own : {true, false}) {
        for (const bool read_only : {false, true}) {
            auto json = with_cgroups(try_in("/sys/fs/cgroup"), own, read_only);
            json["linux"].erase("resources");
            const auto result = run(json);
            EXPECT_EQ(result.out.substr(0, 7), read_only ? "refused" : "written") << own << result.out << result.err;
            EXPECT_EQ(mount_on(result.out, "/sys/fs/cgroup").type, "cgroup2") << result.out;
        }
    }
}

}  // namespace
