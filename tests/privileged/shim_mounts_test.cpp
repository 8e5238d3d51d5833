// Every entry of `mounts` and every option, looked at from inside the container.

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/support/mount_table.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::mount_on;
using locald::testing::MountLine;
using locald::testing::Program;
using locald::testing::ShimTest;

class ShimMounts : public ShimTest {
protected:
    /// Mounts of the host, as these tests see it, are in a mount namespace that ends with the test program.
    static void SetUpTestSuite() {
        if (::geteuid() != 0) return;
        ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    }
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::filesystem::create_directories(source_ + "/sub");
    }
    void TearDown() override {
        ::umount2((source_ + "/sub").c_str(), MNT_DETACH);
        ::umount2(source_.c_str(), MNT_DETACH);
        EXPECT_EQ(leftovers_soon(), "");
    }
    /// A host's mount with another one below it, both with these flags.
    void mount_source(unsigned long flags, const std::string& super = "") const {
        ASSERT_EQ(::mount("outer", source_.c_str(), "tmpfs", 0, super.c_str()), 0);
        std::filesystem::create_directories(source_ + "/sub");
        ASSERT_EQ(::mount("inner", (source_ + "/sub").c_str(), "tmpfs", flags, super.c_str()), 0);
        ASSERT_EQ(::mount(nullptr, source_.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr), 0);
    }
    void unmount_source() const {
        ASSERT_EQ(::umount2((source_ + "/sub").c_str(), MNT_DETACH), 0);
        ASSERT_EQ(::umount2(source_.c_str(), MNT_DETACH), 0);
    }
    static Json mount_of(const std::string& target, const std::string& type, const std::string& source,
                         const std::vector<std::string>& options) {
        Json json{{"destination", target}, {"source", source}, {"options", options}};
        if (!type.empty()) json["type"] = type;
        return json;
    }
    /// The container's mountinfo with this mount in it.
    std::string table_with(const Json& mount) {
        auto json = config("cat /proc/self/mountinfo");
        json["mounts"].push_back(mount);
        const auto result = run(json);
        EXPECT_EQ(result.code, 0) << result.err;
        return result.out;
    }
    void expect_refused(const Json& mount, const std::string& text) {
        auto json = config("echo ran");
        json["mounts"].push_back(mount);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125);
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    }

    static std::string text_of(const std::string& path) {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    const std::string source_ = dir_ / "source";
};

struct Attribute {
    const char* set;
    const char* clear;
    unsigned long flag;
    const char* shown;
};
constexpr std::array attributes{Attribute{"ro", "rw", MS_RDONLY, "ro"},
                                Attribute{"nosuid", "suid", MS_NOSUID, "nosuid"},
                                Attribute{"nodev", "dev", MS_NODEV, "nodev"},
                                Attribute{"noexec", "exec", MS_NOEXEC, "noexec"},
                                Attribute{"nosymfollow", "symfollow", 256, "nosymfollow"},
                                Attribute{"nodiratime", "diratime", MS_NODIRATIME, "nodiratime"},
                                Attribute{"noatime", "atime", MS_NOATIME, "noatime"},
                                Attribute{"relatime", "norelatime", MS_RELATIME, "relatime"},
                                Attribute{"strictatime", "nostrictatime", MS_STRICTATIME, ""}};

bool shows(const MountLine& line, const Attribute& attribute) {
    if (*attribute.shown != '\0') return line.has(attribute.shown);
    return !line.has("relatime") && !line.has("noatime");
}

TEST_F(ShimMounts, SetsEveryAttributeOnABindAndOnAllBelowIt) {
    for (const auto& attribute : attributes) {
        const bool relatime = attribute.flag == MS_RELATIME;  // it is what other mounts have anyhow
        mount_source(relatime ? MS_NOATIME : MS_RELATIME);
        for (const bool recursive : {false, true}) {
            const std::string name = (recursive ? "r" : "") + std::string(attribute.set);
            const auto table = table_with(mount_of("/data", "", source_, {"rbind", name}));
            EXPECT_TRUE(shows(mount_on(table, "/data"), attribute)) << name << "\n" << table;
            EXPECT_EQ(shows(mount_on(table, "/data/sub"), attribute), recursive) << name << "\n" << table;
        }
        unmount_source();
    }
}

TEST_F(ShimMounts, ClearsEveryAttributeOnABindAndOnAllBelowIt) {
    for (const auto& attribute : attributes) {
        if (attribute.flag == MS_RELATIME) continue;  // there is no attribute "not relatime"
        mount_source(attribute.flag);
        auto table = table_with(mount_of("/data", "", source_, {"rbind"}));
        EXPECT_TRUE(shows(mount_on(table, "/data"), attribute)) << attribute.set << " is kept\n" << table;
        EXPECT_TRUE(shows(mount_on(table, "/data/sub"), attribute)) << attribute.set << " is kept\n" << table;
        for (const bool recursive : {false, true}) {
            const std::string name = (recursive ? "r" : "") + std::string(attribute.clear);
            table = table_with(mount_of("/data", "", source_, {"rbind", name}));
            EXPECT_FALSE(shows(mount_on(table, "/data"), attribute)) << name << "\n" << table;
            EXPECT_EQ(shows(mount_on(table, "/data/sub"), attribute), !recursive) << name << "\n" << table;
        }
        unmount_source();
    }
}

TEST_F(ShimMounts, SetsEveryAttributeOnANewFileSystem) {
    for (const auto& attribute : attributes) {
        for (const bool recursive : {false, true}) {
            const std::string name = (recursive ? "r" : "") + std::string(attribute.set);
            const auto table = table_with(mount_of("/new", "tmpfs", "tmpfs", {name}));
            EXPECT_TRUE(shows(mount_on(table, "/new"), attribute)) << name << "\n" << table;
        }
    }
}

TEST_F(ShimMounts, SetsTheFlagsAndTheDataOfANewFileSystem) {
    for (const char* name : {"sync", "dirsync", "lazytime"}) {
        const auto line = mount_on(table_with(mount_of("/new", "tmpfs", "tmpfs", {name, "size=64k"})), "/new");
        EXPECT_TRUE(line.has_super(name)) << line.super;
        EXPECT_TRUE(line.has_super("size=64k")) << line.super;
    }
    for (const char* name : {"async", "nolazytime", "nomand", "silent", "loud", "iversion", "noiversion", "defaults"}) {
        EXPECT_EQ(mount_on(table_with(mount_of("/new", "tmpfs", "tmpfs", {name})), "/new").type, "tmpfs") << name;
    }
    expect_refused(mount_of("/new", "tmpfs", "tmpfs", {"no-such-option"}), "no-such-option");
    expect_refused(mount_of("/new", "tmpfs", "tmpfs", {"size=many"}), "size");
    expect_refused(mount_of("/new", "nosuchfs", "none", {}), "this kernel has no file system \"nosuchfs\"");
}

TEST_F(ShimMounts, PassesOverWhatMeansNothingToABind) {
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back(mount_of("/data", "none", source_, {"bind", "sync", "async", "nofail", "defaults"}));
    const auto result = run(json);
    EXPECT_EQ(mount_on(result.out, "/data").target, "/data") << result.err;
    EXPECT_NE(result.err.find("\"nofail\" means nothing to a bind"), std::string::npos) << result.err;
}

TEST_F(ShimMounts, GivesATmpfsTheModeOfTheDirectoryItCovers) {
    ASSERT_EQ(::chmod(rootfs("/tmp").c_str(), 01777), 0);
    ASSERT_EQ(::mkdir(rootfs("/run").c_str(), 0755), 0);
    auto json = config("stat -c %a /tmp /etc /run /var /new");
    json["mounts"].push_back(mount_of("/new", "tmpfs", "tmpfs", {}));  // made for the mount: the kernel's own mode
    json["mounts"].push_back(mount_of("/tmp", "tmpfs", "tmpfs", {}));
    json["mounts"].push_back(mount_of("/etc", "tmpfs", "tmpfs", {}));
    json["mounts"].push_back(mount_of("/run", "tmpfs", "tmpfs", {}));
    json["mounts"].push_back(mount_of("/var", "tmpfs", "tmpfs", {"mode=0700"}));
    const auto result = run(json);
    EXPECT_EQ(result.out, "1777\n755\n755\n700\n1777\n") << result.err;
}

TEST_F(ShimMounts, CopiesUpWithOwnersModesAndLinksBeforeItHides) {
    std::filesystem::create_directories(rootfs("/srv/deep"));
    std::ofstream(rootfs("/srv/deep/file")) << "text\n";
    std::filesystem::create_symlink("deep/file", rootfs("/srv/link"));
    ASSERT_EQ(::chown(rootfs("/srv/deep/file").c_str(), 12, 34), 0);
    ASSERT_EQ(::chmod(rootfs("/srv/deep/file").c_str(), 04755), 0);
    ASSERT_EQ(::chmod(rootfs("/srv").c_str(), 0711), 0);
    auto json = config("stat -c '%a %u %g' /srv/deep/file /srv; cat /srv/link; touch /srv/x || echo ro");
    json["mounts"].push_back(mount_of("/srv", "tmpfs", "tmpfs", {"tmpcopyup", "ro"}));
    const auto result = run(json);
    EXPECT_EQ(result.out, "4755 12 34\n711 0 0\ntext\nro\n") << result.err;
}

TEST_F(ShimMounts, HandlesLinksAsCrunsOptionsSay) {
    std::ofstream(dir_ / "target") << "target\n";
    std::filesystem::create_symlink("target", dir_ / "link");
    std::filesystem::create_symlink("/etc/elsewhere", rootfs("/etc/over"));
    std::ofstream(rootfs("/etc/elsewhere")) << "untouched\n";
    auto json = config("readlink /etc/copied; readlink /etc/bound; cat /etc/over /etc/elsewhere");
    json["mounts"].push_back(mount_of("/etc/copied", "", dir_ / "link", {"bind", "copy-symlink"}));
    json["mounts"].push_back(mount_of("/etc/bound", "", dir_ / "link", {"bind", "src-nofollow", "dest-nofollow"}));
    json["mounts"].push_back(mount_of("/etc/over", "", dir_ / "target", {"bind", "dest-nofollow"}));
    auto result = run(json);
    EXPECT_EQ(result.out, "target\ntarget\ntarget\nuntouched\n") << result.err;
    EXPECT_EQ(run(json).code, 0) << "the copied link is there already";
    std::filesystem::remove(rootfs("/etc/copied"));
    std::filesystem::create_symlink("other", rootfs("/etc/copied"));
    expect_refused(json["mounts"][json["mounts"].size() - 3], "File exists");
}

TEST_F(ShimMounts, ChangesAMountThatIsThereOnRemount) {
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back(mount_of("/new", "tmpfs", "tmpfs", {"nodev"}));
    json["mounts"].push_back(mount_of("/new", "", "", {"remount", "size=32k", "noexec"}));
    json["mounts"].push_back(mount_of("/new", "", "", {"remount", "bind", "ro"}));
    const auto result = run(json);
    const auto line = mount_on(result.out, "/new");
    EXPECT_TRUE(line.has("nodev") && line.has("noexec") && line.has("ro")) << result.out << result.err;
    EXPECT_TRUE(line.has_super("size=32k")) << line.super;
    expect_refused(mount_of("/nothing", "", "", {"remount", "ro"}), "remount /nothing");
}

TEST_F(ShimMounts, TakesARelativeDestinationFromTheRootWithAWarning) {
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back(mount_of("some/where", "tmpfs", "tmpfs", {}));
    const auto result = run(json);
    EXPECT_EQ(mount_on(result.out, "/some/where").type, "tmpfs");
    EXPECT_NE(
        result.err.find("mount some/where: relative destination path is **deprecated**, using it as relative to /"),
        std::string::npos)
        << result.err;
}

TEST_F(ShimMounts, TakesARelativeSourceFromTheBundle) {
    std::ofstream(dir_ / "bundle/data") << "of the bundle\n";
    auto json = config("cat /etc/data");
    json["mounts"].push_back(mount_of("/etc/data", "", "data", {"bind"}));
    EXPECT_EQ(run(json).out, "of the bundle\n");
}

TEST_F(ShimMounts, CoversOnlyTheFilesBelowProcThatMayBe) {
    std::ofstream(dir_ / "file") << "imitated\n";
    for (const char* name : {"cpuinfo", "meminfo", "uptime", "sys/kernel/ns_last_pid"}) {
        const std::string path = std::string("/proc/") + name;
        if (!std::filesystem::exists(path)) continue;
        auto json = config("cat " + path);
        json["mounts"].push_back(mount_of(path, "", dir_ / "file", {"bind"}));
        const auto result = run(json);
        EXPECT_EQ(result.out, "imitated\n") << path << result.err;
    }
    for (const char* path : {"/proc/self", "/proc/sys", "/proc/1/attr/current", "/proc/sys/kernel/hostname"}) {
        expect_refused(mount_of(path, "", dir_ / "file", {"bind"}),
                       '"' + std::string(path) + "\" cannot be mounted because it is inside /proc");
    }
    expect_refused(mount_of("/proc", "tmpfs", "tmpfs", {}),
                   "\"/proc\" cannot be mounted because it is not of type proc");
    expect_refused(mount_of("/proc", "", source_, {"bind"}),
                   "\"/proc\" cannot be mounted because it is not of type proc");
    expect_refused(mount_of("/proc", "", "/proc/sys", {"rbind"}),
                   "\"/proc\" cannot be mounted because it is not of type proc");
}

TEST_F(ShimMounts, TakesABoundProcfsAsProc) {
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"][0] = mount_of("/proc", "", "/proc", {"rbind"});
    auto& list = json["linux"]["namespaces"];
    list.erase(std::find_if(list.begin(), list.end(), [](const auto& entry) { return entry["type"] == "pid"; }));
    const auto result = run(json);
    EXPECT_EQ(mount_on(result.out, "/proc").type, "proc") << result.err;
}

TEST_F(ShimMounts, MountsAnOverlayWithLongNamesBelowTheRoot) {
    const std::string deep = dir_ / (std::string(200, 'd') + "/" + std::string(200, 'e'));
    for (const char* name : {"/upper", "/work", "/lower"}) std::filesystem::create_directories(deep + name);
    std::ofstream(deep + "/lower/file") << "lower\n";
    auto json = config("cat /volume/file; echo new >/volume/new");
    json["mounts"].push_back(mount_of(
        "/volume", "overlay", "overlay",
        {"lowerdir=" + deep + "/lower:" + source_, "upperdir=" + deep + "/upper", "workdir=" + deep + "/work"}));
    const auto result = run(json);
    EXPECT_EQ(result.out, "lower\n") << result.err;
    EXPECT_TRUE(std::filesystem::exists(deep + "/upper/new"));
}

TEST_F(ShimMounts, TakesABindAsTheRootFilesystemWithItsOptions) {
    std::filesystem::create_directories(dir_ / "bundle/merged");
    auto json = config("ls -d /bin; touch /x || echo ro");
    json["root"]["path"] = "merged";
    json["mounts"].insert(json["mounts"].begin(), mount_of("/", "", rootfs(), {"rbind", "ro"}));
    for (const char* name : {"proc", "dev", "dev/pts", "sys"}) std::filesystem::create_directories(rootfs("/") + name);
    EXPECT_EQ(run(json).out, "/bin\nro\n");
}

TEST_F(ShimMounts, StaysInsideWhileAnotherContainerSwapsADirectoryForALink) {
    // CVE-2021-30465: the place is a link to the host's at the one moment and a directory at the other.
    std::filesystem::create_directories(dir_ / "outside");
    std::filesystem::create_directories(source_ + "/place");
    std::filesystem::create_symlink(dir_ / "outside", source_ + "/other");
    const pid_t swapper = ::fork();
    if (swapper == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            ::renameat2(AT_FDCWD, (source_ + "/place").c_str(), AT_FDCWD, (source_ + "/other").c_str(),
                        RENAME_EXCHANGE);
    }
    auto json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back(mount_of("/volume", "", source_, {"rbind"}));
    json["mounts"].push_back(mount_of("/volume/place/deep/er", "tmpfs", "deep", {}));
    int made = 0;
    for (int i = 0; i < 60; ++i) {
        const auto result = run(json);
        if (result.code != 0) continue;  // refused because the place changed too often is fine
        ++made;
        EXPECT_TRUE(std::filesystem::is_empty(dir_ / "outside")) << "something was made outside";
        bool inside = false;
        for (const auto& line : locald::testing::parse_mountinfo(result.out)) inside = inside || line.source == "deep";
        EXPECT_TRUE(inside) << result.out;
    }
    ::kill(swapper, SIGKILL);
    ::waitpid(swapper, nullptr, 0);
    EXPECT_GT(made, 0);
}

TEST_F(ShimMounts, BindsMoreSourcesThanDescriptorsWithAndWithoutAUserNamespace) {
    constexpr int count = 1000;
    std::filesystem::create_directories(rootfs("/many"));
    for (int i = 0; i < count; ++i) {
        std::ofstream(source_ + "/" + std::to_string(i)) << i << "\n";
        std::ofstream(rootfs("/many/") + std::to_string(i));
    }
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit soft{256, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &soft), 0);
    for (const bool user : {false, true}) {
        auto json = config("cat /many/0 /many/999; grep -c /many/ /proc/self/mountinfo; ulimit -n");
        for (int i = 0; i < count; ++i) {
            const std::string name = std::to_string(i);
            json["mounts"].push_back(mount_of("/many/" + name, "", source_ + "/" + name, {"bind", "ro"}));
        }
        if (user) {
            json["linux"]["namespaces"].push_back({{"type", "user"}});
            json["linux"]["uidMappings"] = json["linux"]["gidMappings"] =
                Json::array({{{"containerID", 0}, {"hostID", 0}, {"size", 1000}}});
        }
        const auto result = run(json);
        EXPECT_EQ(result.out, "0\n999\n1000\n256\n") << user << result.err;
    }
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

// More than a handful of tmpfs are made by two threads: each must come out as the same mount alone does.

TEST_F(ShimMounts, OfManyTmpfsEachHasItsPlaceItsOptionsAndTheModeOfWhatItCovers) {
    auto json =
        config("for i in $(seq 0 99); do stat -c %a /tmp/m$i; done; stat -c %a /tmp/m3/in; cat /proc/self/mountinfo");
    std::string modes;
    for (int i = 0; i < 100; ++i) {
        const std::string name = "/tmp/m" + std::to_string(i);
        std::vector<std::string> options{"size=" + std::to_string(4 + 4 * (i % 5)) + "k", "nosuid"};
        if (i % 4 == 1) options.emplace_back("mode=711");
        if (i % 4 == 2) options.emplace_back("ro");
        if (i % 4 >= 2) {  // there is something to cover
            std::filesystem::create_directories(rootfs(name));
            std::filesystem::permissions(rootfs(name), std::filesystem::perms(i % 4 == 2 ? 0750 : 02705));
        }
        json["mounts"].push_back(mount_of(name, "tmpfs", "many" + std::to_string(i), options));
        modes += i % 4 == 0 ? "1777\n" : i % 4 == 1 ? "711\n" : i % 4 == 2 ? "750\n" : "2705\n";
        // Inside the one before: what the image has there (0700) is covered by then, and the new directory is made.
        if (i == 3) {
            std::filesystem::create_directories(rootfs(name + "/in"));
            std::filesystem::permissions(rootfs(name + "/in"), std::filesystem::perms(0700));
            json["mounts"].push_back(mount_of(name + "/in", "tmpfs", "inner", {"size=4k"}));
        }
    }
    const auto result = run(json);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out.substr(0, modes.size()), modes);
    EXPECT_EQ(result.out.substr(modes.size(), 5), "1777\n") << "the mode of what was covered already was taken";
    for (int i = 0; i < 100; ++i) {
        const MountLine line = mount_on(result.out, "/tmp/m" + std::to_string(i));
        EXPECT_EQ(line.source, "many" + std::to_string(i));
        EXPECT_EQ(line.options.starts_with(i % 4 == 2 ? "ro,nosuid" : "rw,nosuid"), true) << line.options;
        EXPECT_NE(line.super.find("size=" + std::to_string(4 + 4 * (i % 5)) + "k"), std::string::npos) << line.super;
    }
}

TEST_F(ShimMounts, OfManyTmpfsTheOneThatCannotBeMadeIsNamed) {
    auto json = config("echo ran");
    for (int i = 0; i < 100; ++i) {
        json["mounts"].push_back(
            mount_of("/tmp/m" + std::to_string(i), "tmpfs", "tmpfs", {i == 77 ? "size=wrong" : "size=4k"}));
    }
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("mount tmpfs on /tmp/m77: option size=wrong"), std::string::npos) << result.err;
}

TEST_F(ShimMounts, OfManyTmpfsNotAllAreOpenAtATime) {
    auto json = config("cat /proc/self/mountinfo");
    for (int i = 0; i < 600; ++i) {
        json["mounts"].push_back(mount_of("/tmp/m" + std::to_string(i), "tmpfs", "tmpfs", {"size=4k"}));
    }
    write(json);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const rlimit few{200, 200};
        ::setrlimit(RLIMIT_NOFILE, &few);
        Program program(command(run_words()), dir_ / "many");
        ::_exit(program.wait());
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0) << text_of(dir_ / "many.err");
    EXPECT_EQ(mount_on(text_of(dir_ / "many.out"), "/tmp/m599").type, "tmpfs");
}

}  // namespace
