// Places in the image that become a link to somewhere else between two steps: CVE-2021-30465 (the target of a mount),
// CVE-2024-45310 and CVE-2026-87766 (its parents, while what is missing is made), GHSA-3q8j-pf29-vwv8 (masked and
// read-only paths), CVE-2025-31133 (/dev/null, the source of masks), CVE-2025-52565 (/dev/console).

#include <sys/sysmacros.h>

#include "tests/privileged/cve/cve_fixture.hpp"
#include "tests/support/mount_table.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PathRaces : public CveTest {
protected:
    void SetUp() override {
        CveTest::SetUp();
        outside_ = make_outside();
        before_ = look_at(outside_);
        std::filesystem::create_directories(rootfs("/place"));
        std::filesystem::create_symlink(outside_, rootfs("/other"));
    }
    void TearDown() override {
        EXPECT_EQ(look_at(outside_), before_);
        CveTest::TearDown();
    }
    /// Runs the container again and again; refused is fine, but not always.
    void run_for(double seconds, const Json& json, const std::function<void(const Result&)>& check) {
        int ran = 0;
        repeat_for(seconds, [&] {
            const auto result = run(json);
            if (result.code != 0) return;
            ++ran;
            check(result);
            EXPECT_EQ(look_at(outside_), before_);
        });
        EXPECT_GT(ran, 0);
    }

    std::string outside_;
    std::set<std::string> before_;
};

TEST_F(PathRaces, ATargetThatIsSwappedIsMountedOnInsideOnly) {
    const Attacker attacker(swap_of(rootfs("/place"), rootfs("/other")));
    Json json = config("cat /proc/self/mountinfo");
    json["mounts"].push_back({{"destination", "/place"}, {"type", "tmpfs"}, {"source", "raced"}});
    json["mounts"].push_back({{"destination", "/place/deep/er"}, {"type", "tmpfs"}, {"source", "raced"}});
    json["mounts"].push_back(bind_of("/place/new/file", dir_ / "bundle/config.json"));
    run_for(2.5, json, [&](const Result& result) {
        int mounts = 0;
        for (const auto& line : parse_mountinfo(result.out)) mounts += line.source == "raced" ? 1 : 0;
        EXPECT_EQ(mounts, 2) << result.out;
    });
}

TEST_F(PathRaces, MissingParentsAreMadeInsideOnly) {
    const Attacker attacker(swap_of(rootfs("/place"), rootfs("/other")));
    int round = 0;
    repeat_for(2.5, [&] {
        const std::string name = "/place/made-" + std::to_string(++round);
        Json json = config("true");
        json["process"]["cwd"] = name + "/cwd";
        json["mounts"].push_back({{"destination", name + "/a/b"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
        json["mounts"].push_back(bind_of(name + "/c/file", dir_ / "bundle/config.json"));
        json["linux"]["devices"] =
            Json::array({{{"path", name + "/d/null"}, {"type", "c"}, {"major", 1}, {"minor", 3}}});
        run(json);
        EXPECT_EQ(look_at(outside_), before_);
    });
    EXPECT_GT(round, 3);
}

TEST_F(PathRaces, MaskedAndReadOnlyPathsStayWhereTheyAre) {
    make_file(rootfs("/place/file"), "secret\n");
    std::filesystem::create_directories(rootfs("/place/sub"));
    std::filesystem::create_directories(outside_ + "/sub");
    before_ = look_at(outside_);
    const Attacker attacker(swap_of(rootfs("/place"), rootfs("/other")));
    Json json = config("cat /proc/self/mountinfo");
    json["linux"]["maskedPaths"] = {"/place/file", "/proc/keys", "/place/sub"};
    json["linux"]["readonlyPaths"] = {"/place", "/proc/sys"};
    run_for(2.5, json, [&](const Result& result) {
        EXPECT_THAT(result.out, Not(HasSubstr(outside_)));
        EXPECT_THAT(result.out, HasSubstr(" /proc/keys "));
    });
}

TEST_F(PathRaces, TheImagesNullDeviceIsNeverTheMask) {
    // CVE-2025-31133: nothing is mounted on /dev, and the image's /dev/null changes between a file and a link.
    make_file(rootfs("/secret"), "secret\n");
    make_file(rootfs("/victim"), "victim\n");
    Json json = config("stat -c %t:%T /secret; cat /victim");
    remove_mount(json, "/dev/pts");
    remove_mount(json, "/dev");
    json["linux"]["maskedPaths"] = {"/secret"};
    std::filesystem::create_symlink("/victim", rootfs("/dev/null"));
    EXPECT_EQ(run(json).code, 125) << "a link in the place of a device";
    std::filesystem::remove(rootfs("/dev/null"));
    make_file(rootfs("/dev/null"), "a file\n");
    EXPECT_EQ(run(json).code, 125) << "a file in the place of a device";
    std::filesystem::remove(rootfs("/dev/null"));
    ASSERT_EQ(::mknod(rootfs("/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    std::filesystem::create_symlink("/victim", rootfs("/dev/other"));
    const Attacker attacker(swap_of(rootfs("/dev/null"), rootfs("/dev/other")));
    run_for(2, json, [&](const Result& result) { EXPECT_EQ(result.out, "1:3\nvictim\n"); });
}

TEST_F(PathRaces, TheTerminalIsBoundOnTheConsoleAndNothingElse) {
    // CVE-2025-52565, CVE-2026-88264: nothing is mounted on /dev, and /dev/console is a link every other moment.
    std::filesystem::create_directories(rootfs("/dev/pts"));
    make_file(rootfs("/dev/console"));
    std::filesystem::create_symlink("/proc/sys/kernel/hostname", rootfs("/dev/other"));
    Json json = config("cat /proc/self/mountinfo /proc/sys/kernel/hostname; echo end");
    remove_mount(json, "/dev");
    json["process"]["terminal"] = true;
    json["linux"]["readonlyPaths"] = Json::array();
    write(json);
    const Attacker attacker(swap_of(rootfs("/dev/console"), rootfs("/dev/other")));
    int ran = 0;
    repeat_for(2.5, [&] {
        auto [ours, theirs] = posix::make_socket_pair();
        auto words = run_words();
        words.insert(words.end(), {"--console-fd", std::to_string(theirs.get())});
        Program program(command(words), dir_ / "run", uid_, {theirs.get()});
        theirs.reset();
        std::string text;
        try {
            const auto master = posix::receive_fd(ours);
            std::array<char, 4096> block{};
            for (ssize_t n = 0; (n = ::read(master.get(), block.data(), block.size())) > 0;) {
                text.append(block.data(), static_cast<std::size_t>(n));
            }
        } catch (const std::exception&) {
            // Refused before there was a terminal.
        }
        if (program.wait() != 0) return;
        ++ran;
        EXPECT_THAT(text, HasSubstr("box\r\nend"));
        EXPECT_THAT(text, Not(HasSubstr(" /proc/sys/kernel/hostname ")));
    });
    EXPECT_GT(ran, 0);
}

}  // namespace
}  // namespace locald::testing
