#include "shim/container/state.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/timestamp.hpp"
#include "shim/container/start_socket.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/options/signals.hpp"
#include "tests/support/temp_dir.hpp"

namespace {

using namespace locald;
using namespace locald::shim;
using locald::testing::TempDir;

Record sample() {
    Record record;
    record.state = {"1.3.0", "web",       "running", 42, "/b \"x\"", "/b/rootfs", "2026-01-01T00:00:00.000000000Z",
                    "",      {{"k", "v"}}};
    record.start_time = 77;
    record.shim_pid = 41;
    record.shim_start_time = 76;
    record.cgroups = {"/sys/fs/cgroup/web"};
    record.poststop = true;
    record.keyring = false;
    return record;
}

TEST(StateRecord, ComesBackAsItWent) {
    const Record back = parse_record(to_json(sample()));
    EXPECT_EQ(to_json(back), to_json(sample()));
    EXPECT_EQ(back.state.bundle, "/b \"x\"");
    EXPECT_EQ(back.state.annotations.at("k"), "v");
    EXPECT_EQ(back.cgroups, sample().cgroups);
    EXPECT_TRUE(back.poststop);
    EXPECT_FALSE(back.keyring);
    EXPECT_FALSE(back.poststart);
}

TEST(StateRecord, KnowsTheMountOfASharedNamespace) {
    Record record = sample();
    record.shared_root = SharedRoot{4026531841, "/proc/7/ns/mnt", 12, 1ULL << 32U, 2049, 99, "/b \"x\"/rootfs"};
    const Record back = parse_record(to_json(record));
    ASSERT_TRUE(back.shared_root);
    EXPECT_EQ(to_json(back), to_json(record));
    EXPECT_EQ(back.shared_root->unique_mount, 1ULL << 32U);
    EXPECT_EQ(back.shared_root->place, "/b \"x\"/rootfs");
    EXPECT_FALSE(parse_record(to_json(sample())).shared_root);
}

TEST(StateRecord, RefusesHalfAFile) {
    const std::string whole = to_json(sample());
    EXPECT_THROW(parse_record(whole.substr(0, whole.size() / 2)), Error);
    EXPECT_THROW(parse_record("{}"), Error);
    EXPECT_THROW(parse_record("[]"), Error);
}

TEST(StateRecord, RefusesNumbersThatAreNone) {
    Record record;
    record.state.pid = 42;
    for (const char* bad : {"1e300", "-5", "1099511627776", "1.5", "\"5\"", "null", "true"}) {
        std::string text = to_json(record);
        text.replace(text.find("42"), 2, bad);
        try {
            parse_record(text);
            ADD_FAILURE() << bad;
        } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::corrupt) << bad;
        }
    }
}

TEST(StateDir, IsLockedFromItsFirstMoment) {
    const TempDir dir;
    const auto root = posix::open(dir.path(), O_RDONLY | O_DIRECTORY);
    StateDir mine = StateDir::create(root, "web");
    mine.write(sample());
    StateDir other = StateDir::open(root, "web");
    EXPECT_TRUE(other.locked_by_other());
    bool gone = false;
    EXPECT_FALSE(other.take_lock(gone));
    EXPECT_FALSE(gone);
    EXPECT_EQ(other.read().state.id, "web");
    EXPECT_FALSE(other.cgroups_made());
    mine.mark_cgroups_made();
    EXPECT_TRUE(other.cgroups_made());
    EXPECT_THROW(StateDir::create(root, "web"), Error);
    EXPECT_THAT(list_ids(root), ::testing::ElementsAre("web"));
    mine.remove();
    EXPECT_THROW(StateDir::open(root, "web"), Error);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(StateDir, SweepsWhatADeadProcessHalfMade) {
    const TempDir dir;
    const auto root = posix::open(dir.path(), O_RDONLY | O_DIRECTORY);
    std::filesystem::create_directories(dir / ".web.2147483646");
    std::filesystem::create_directories(dir / (".web." + std::to_string(::getpid())));
    std::filesystem::create_directories(dir / ".seccomp");
    sweep_unborn(root);
    EXPECT_FALSE(std::filesystem::exists(dir / ".web.2147483646"));
    EXPECT_TRUE(std::filesystem::exists(dir / (".web." + std::to_string(::getpid()))));
    EXPECT_TRUE(std::filesystem::exists(dir / ".seccomp"));
}

TEST(StateDir, TellsCreatedFromRunningByWhoWaits) {
    const TempDir dir;
    const auto root = posix::open(dir.path(), O_RDONLY | O_DIRECTORY);
    StateDir mine = StateDir::create(root, "web");
    Record record = sample();
    record.state.status = "created";
    record.state.pid = ::getpid();
    record.start_time = process_start_time(::getpid()).value();
    auto listener = listen_for_start(mine.handle());
    EXPECT_EQ(mine.status(record), "created");
    EXPECT_EQ(mine.status(record), "created");
    listener.reset();
    EXPECT_EQ(mine.status(record), "running");
    ++record.start_time;
    EXPECT_EQ(mine.status(record), "stopped");
    mine.remove();
}

TEST(StateDir, KeepsWhatLaterVerbsNeedOfTheConfiguration) {
    const TempDir dir;
    const auto root = posix::open(dir.path(), O_RDONLY | O_DIRECTORY);
    StateDir mine = StateDir::create(root, "web");
    oci::Spec spec;
    spec.oci_version = "1.3.0";
    spec.process.emplace().args = {"/bin/true"};
    spec.process->cwd = "/";
    spec.linux_.emplace().namespaces = {{"pid", ""}, {"network", "/n"}};
    spec.linux_->masked_paths = {"/proc/kcore"};
    spec.hooks.emplace().poststop = {{"/bin/h", {}, {}, 3}};
    mine.keep_spec(spec);
    mine.keep_filter(std::string("\0\1", 2));
    const oci::Spec back = StateDir::open(root, "web").read_spec();
    EXPECT_EQ(back.process->args, spec.process->args);
    EXPECT_EQ(back.linux_->namespaces.at(1).path, "/n");
    EXPECT_TRUE(back.linux_->masked_paths.empty());
    EXPECT_EQ(back.hooks->poststop.at(0).timeout, 3);
    EXPECT_EQ(mine.read_filter(), std::string("\0\1", 2));
    mine.remove();
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Process, IsKnownByItsStartTimeToo) {
    const TempDir dir;
    const auto root = posix::open(dir.path(), O_RDONLY | O_DIRECTORY);
    StateDir state = StateDir::create(root, "web");
    Record record = sample();
    record.state.pid = ::getpid();
    record.start_time = process_start_time(::getpid()).value();
    EXPECT_TRUE(open_process(record));
    EXPECT_EQ(state.status(record), "running");
    ++record.start_time;  // the number was given to another process
    EXPECT_FALSE(open_process(record));
    EXPECT_EQ(state.status(record), "stopped");
    EXPECT_FALSE(process_start_time(0));
}

TEST(Timestamp, HasNanosecondsAndIsUtc) {
    EXPECT_TRUE(
        std::regex_match(timestamp_now(), std::regex(R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{9}Z)")));
}

TEST(Signals, AreKnownByNumberAndName) {
    EXPECT_EQ(parse_signal("9"), 9);
    EXPECT_EQ(parse_signal("TERM"), 15);
    EXPECT_EQ(parse_signal("SIGHUP"), 1);
    EXPECT_EQ(parse_signal("usr1"), 10);
    EXPECT_EQ(parse_signal("0"), 0);
    // What halts a systemd (SIGRTMIN+3): the C library keeps the first two real-time signals for itself.
    for (const char* halt : {"RTMIN+3", "SIGRTMIN+3", "sigrtmin+3", "RTMAX-27", "37"})
        EXPECT_EQ(parse_signal(halt), 37);
    for (const char* bad : {"", "-1", "999", "SIG", "NOPE", "9x", "RTMIN+31"})
        EXPECT_THROW(parse_signal(bad), Error) << bad;
}

TEST(InRoot, MakesTargetsInsideOnly) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "root");
    std::filesystem::create_directories(dir / "outside");
    std::filesystem::create_symlink(dir / "outside", dir / "root/link");
    std::filesystem::create_symlink("../../../../../../../../tmp", dir / "root/climb");
    const auto root = posix::open(dir / "root", O_PATH | O_DIRECTORY);
    make_target_in_root(root, "/a/b/file", false);
    EXPECT_TRUE(std::filesystem::is_regular_file(dir / "root/a/b/file"));
    make_target_in_root(root, "/link/x", true);
    EXPECT_TRUE(std::filesystem::is_directory(dir / ("root" + (dir / "outside/x"))));
    make_target_in_root(root, "/climb/y", false);
    EXPECT_TRUE(std::filesystem::is_regular_file(dir / "root/tmp/y"));
    EXPECT_TRUE(std::filesystem::is_empty(dir / "outside"));
    EXPECT_FALSE(find_in_root(root, "/nothing/here"));
    EXPECT_THROW(make_target_in_root(root, "/a/b/file/below", false), Error);
}

TEST(InRoot, MakesTheTargetOfALinkThatLeadsNowhere) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "root/deep/er");
    std::filesystem::create_symlink("deep/er", dir / "root/etc");
    std::filesystem::create_symlink("../run/stub/resolv.conf", dir / "root/etc/resolv.conf");
    std::filesystem::create_symlink("loop", dir / "root/loop");
    const auto root = posix::open(dir / "root", O_PATH | O_DIRECTORY);
    const auto made = make_target_in_root(root, "/etc/resolv.conf", false);
    const auto expected = posix::open(dir / "root/deep/run/stub/resolv.conf", O_PATH);
    EXPECT_EQ(posix::fstat(made, "made").st_ino, posix::fstat(expected, "expected").st_ino);
    EXPECT_TRUE(S_ISREG(posix::fstat(made, "made").st_mode));
    EXPECT_THROW(make_target_in_root(root, "/loop", false), Error);
}

}  // namespace
