#include "core/image/layer_applier.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/tar_builder.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

/// Layers of one image below a temporary directory, `0` the bottom one.
class LayerApplier : public ::testing::Test {
protected:
    AppliedLayer apply(const TarBuilder& tar) {
        const std::string path = dir_ / std::to_string(roots_.size());
        fs::create_directory(path);
        roots_.push_back(std::make_unique<posix::UniqueFd>(posix::open(path, O_RDONLY | O_DIRECTORY)));
        std::vector<const posix::UniqueFd*> below;
        for (std::size_t i = 0; i + 1 < roots_.size(); ++i) below.push_back(roots_[i].get());
        MergedTree merged(below);
        LayerTree::Lower lower;
        if (!below.empty()) lower = [&] { return &merged; };
        const std::string bytes = tar.bytes();
        MemoryChunks chunks(bytes);
        TarReader reader(chunks);
        return apply_layer(reader, *roots_.back(), lower, Owners::of_this_process());
    }
    std::string failure_of(const TarBuilder& tar) {
        try {
            apply(tar);
        } catch (const Error& e) {
            return e.what();
        }
        return "no failure";
    }
    std::string at(std::size_t layer, const std::string& name) const {
        return dir_ / (std::to_string(layer) + "/" + name);
    }
    static std::string text_of(const std::string& path) { return posix::read_file(path); }
    static struct stat stat_of(const std::string& path) {
        struct stat st {};
        EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
        return st;
    }
    static bool opaque(const std::string& path) {
        char value = 0;
        return ::getxattr(path.c_str(), opaque_xattr, &value, 1) == 1 && value == 'y';
    }
    static std::vector<std::string> names(const std::string& path) {
        std::vector<std::string> result;
        for (const auto& entry : fs::directory_iterator(path)) result.push_back(entry.path().filename());
        std::sort(result.begin(), result.end());
        return result;
    }
    static TarBuilder whiteout(const std::string& name) { return TarBuilder().file(name, ""); }

    TempDir dir_;
    std::vector<std::unique_ptr<posix::UniqueFd>> roots_;
};

TEST_F(LayerApplier, MakesFilesDirectoriesAndLinksWithTheirAttributes) {
    TarBuilder::Entry fifo{"d/fifo", '6'};
    fifo.mode = 0622;
    const auto applied = apply(TarBuilder()
                                   .directory("./d/", 0711)
                                   .file("d/f", "text", 04755)
                                   .symlink("d/s", "/etc/passwd")
                                   .hard_link("d/h", "/d/f")
                                   .add(fifo)
                                   .file("/absolute//name", "x"));
    EXPECT_EQ(applied.entries, 6U);
    EXPECT_EQ(applied.bytes, 5U);
    EXPECT_EQ(stat_of(at(0, "d")).st_mode, S_IFDIR | 0711U);
    EXPECT_EQ(stat_of(at(0, "d")).st_mtime, 1'000'000'000);
    EXPECT_EQ(stat_of(at(0, "d/f")).st_mode, S_IFREG | 04755U);
    EXPECT_EQ(stat_of(at(0, "d/f")).st_mtime, 1'000'000'000);
    EXPECT_EQ(stat_of(at(0, "d/h")).st_ino, stat_of(at(0, "d/f")).st_ino);
    EXPECT_EQ(stat_of(at(0, "d/fifo")).st_mode, S_IFIFO | 0622U);
    EXPECT_EQ(fs::read_symlink(at(0, "d/s")), "/etc/passwd");
    EXPECT_EQ(stat_of(at(0, "d/s")).st_mtime, 1'000'000'000);
    EXPECT_EQ(text_of(at(0, "absolute/name")), "x");
}

TEST_F(LayerApplier, KeepsUserXattrsAndDropsWhatWouldSteerTheOverlay) {
    apply(TarBuilder()
              .pax({{"SCHILY.xattr.user.note", "kept"},
                    {"SCHILY.xattr.user.overlay.opaque", "y"},
                    {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                    {"SCHILY.xattr.security.selinux", "label"}})
              .directory("d"));
    std::array<char, 16> value{};
    ASSERT_EQ(::getxattr(at(0, "d").c_str(), "user.note", value.data(), value.size()), 4);
    EXPECT_FALSE(opaque(at(0, "d")));
    EXPECT_LT(::getxattr(at(0, "d").c_str(), "trusted.overlay.opaque", value.data(), value.size()), 0);
}

TEST_F(LayerApplier, LetsTheLastEntryOfANameWin) {
    apply(TarBuilder()
              .file("a", "one")
              .file("a", "two")
              .directory("b")
              .file("b/inner", "x")
              .symlink("b", "elsewhere")
              .symlink("c", "a")
              .file("c", "not through the link")
              .file("d", "file")
              .directory("d"));
    EXPECT_EQ(text_of(at(0, "a")), "two");
    EXPECT_EQ(fs::read_symlink(at(0, "b")), "elsewhere");
    EXPECT_EQ(text_of(at(0, "c")), "not through the link");
    EXPECT_TRUE(fs::is_directory(at(0, "d")));
}

TEST_F(LayerApplier, WritesNotThroughAHardLink) {
    apply(TarBuilder().file("a", "one").hard_link("b", "a").file("b", "two"));
    EXPECT_EQ(text_of(at(0, "a")), "one");
    EXPECT_EQ(text_of(at(0, "b")), "two");
}

TEST_F(LayerApplier, KeepsAFileThatLinksToItself) {
    apply(TarBuilder().file("a", "one").hard_link("a", "a"));
    EXPECT_EQ(text_of(at(0, "a")), "one");
}

TEST_F(LayerApplier, MakesSparseFilesWithTheirHoles) {
    apply(TarBuilder()
              .pax({{"GNU.sparse.size", "5000000"}, {"GNU.sparse.map", "0,0,10,3,4000000,2,5000000,0"}})
              .file("s", "abcde"));
    const auto st = stat_of(at(0, "s"));
    EXPECT_EQ(st.st_size, 5'000'000);
    EXPECT_LT(st.st_blocks * 512, 1'000'000);
    const std::string text = text_of(at(0, "s"));
    EXPECT_EQ(text.substr(10, 3), "abc");
    EXPECT_EQ(text.substr(4'000'000, 2), "de");
}

// CVE-2021-29136: the root becomes a link to a directory of the host.
TEST_F(LayerApplier, RefusesToReplaceTheRoot) {
    for (const std::string name : {".", "./", "/", "a/.."}) {
        EXPECT_THAT(failure_of(TarBuilder().symlink(name, "/tmp")), HasSubstr("the root must stay a directory"))
            << name;
    }
}

TEST_F(LayerApplier, TakesAttributesOfTheRoot) {
    apply(TarBuilder().directory("./", 0711));
    EXPECT_EQ(stat_of(at(0, "")).st_mode & 07777U, 0711U);
}

TEST_F(LayerApplier, RefusesNamesThatClimbAboveTheRoot) {
    for (const std::string name : {"../x", "a/../../x", "/../x"}) {
        EXPECT_THAT(failure_of(TarBuilder().file(name, "x")), HasSubstr("climbs above the root")) << name;
        EXPECT_THAT(failure_of(TarBuilder().hard_link("link", name)), HasSubstr("climbs above the root")) << name;
    }
    EXPECT_FALSE(fs::exists(dir_ / "x"));
}

TEST_F(LayerApplier, FollowsParentLinksWithinTheRootOnly) {
    fs::create_directory(dir_ / "canary");
    const std::string canary = dir_ / "canary";
    apply(TarBuilder()
              .symlink("absolute", canary)
              .symlink("relative", "../canary")
              .symlink("deep", "../../../../../../../../" + canary)
              .file("absolute/f1", "")
              .file("relative/f2", "")
              .file("deep/f3", ""));
    EXPECT_THAT(names(canary), IsEmpty());
    EXPECT_TRUE(fs::exists(at(0, "canary/f2")));
    EXPECT_TRUE(fs::exists(at(0, canary.substr(1) + "/f1")));
    EXPECT_TRUE(fs::exists(at(0, canary.substr(1) + "/f3")));
}

TEST_F(LayerApplier, EndsAtLinksThatGoInCircles) {
    EXPECT_THAT(failure_of(TarBuilder().symlink("a", "b").symlink("b", "a").file("a/f", "")),
                HasSubstr("too many symlinks"));
}

TEST_F(LayerApplier, RefusesAParentThatIsAFile) {
    EXPECT_THAT(failure_of(TarBuilder().file("a", "").file("a/f", "")), HasSubstr("a is no directory"));
}

// CVE-2021-32760 and CVE-2026-50163: links to files of the host, by absolute name and relative to the working
// directory.
TEST_F(LayerApplier, LinksNeverToFilesOfTheHost) {
    std::ofstream(dir_ / "host") << "secret";
    ::chmod((dir_ / "host").c_str(), 0600);
    const fs::path before = fs::current_path();
    fs::current_path(dir_.path());
    for (const std::string& target : {dir_ / "host", std::string("host")}) {
        TarBuilder tar;
        tar.hard_link("link", target).file("link", "changed", 0777);
        EXPECT_THAT(failure_of(tar), HasSubstr("does not exist")) << target;
    }
    fs::current_path(before);
    EXPECT_EQ(text_of(dir_ / "host"), "secret");
    EXPECT_EQ(stat_of(dir_ / "host").st_mode & 07777U, 0600U);
    EXPECT_EQ(stat_of(dir_ / "host").st_nlink, 1U);
}

TEST_F(LayerApplier, LinksToASymlinkItself) {
    apply(TarBuilder().symlink("s", "/etc/passwd").hard_link("h", "s"));
    EXPECT_TRUE(fs::is_symlink(at(0, "h")));
}

// CVE-2021-32803: the cache of parents must forget what was replaced.
TEST_F(LayerApplier, ForgetsAParentThatWasReplacedByALink) {
    fs::create_directory(dir_ / "canary");
    apply(TarBuilder().directory("d").file("d/one", "").symlink("d", dir_ / "canary").file("d/two", ""));
    EXPECT_THAT(names(dir_ / "canary"), IsEmpty());
    EXPECT_TRUE(fs::exists(at(0, (dir_ / "canary").substr(1) + "/two")));
}

TEST_F(LayerApplier, SeesALinkThatLaterBecomesADirectory) {
    apply(TarBuilder().directory("real").symlink("l", "real").file("l/one", "").directory("l").file("l/two", ""));
    EXPECT_THAT(names(at(0, "real")), ElementsAre("one"));
    EXPECT_THAT(names(at(0, "l")), ElementsAre("two"));
}

TEST_F(LayerApplier, HidesLowerFilesByWhiteouts) {
    apply(TarBuilder().directory("d").file("d/gone", "").file("d/stays", ""));
    apply(whiteout("d/.wh.gone"));
    EXPECT_TRUE(is_whiteout(stat_of(at(1, "d/gone"))));
    MergedTree merged({roots_[0].get(), roots_[1].get()});
    EXPECT_THAT(merged.names(*merged.find("d"), "d"), ElementsAre("stays"));
    EXPECT_FALSE(merged.find("d/gone"));
}

TEST_F(LayerApplier, MakesNoWhiteoutOverNothing) {
    apply(TarBuilder().directory("d"));
    apply(TarBuilder().file("d/.wh.absent", "").file(".wh.absent", ""));
    EXPECT_THAT(names(at(1, "d")), IsEmpty());
    EXPECT_THAT(names(at(1, "")), ElementsAre("d"));
}

TEST_F(LayerApplier, SparesByAWhiteoutWhatItsOwnLayerMade) {
    apply(TarBuilder().file("f", "old").directory("d").file("d/old", ""));
    apply(TarBuilder().file("f", "new").file(".wh.f", "").directory("d").file("d/new", "").file(".wh.d", ""));
    EXPECT_EQ(text_of(at(1, "f")), "new");
    EXPECT_TRUE(opaque(at(1, "d")));
    MergedTree merged({roots_[0].get(), roots_[1].get()});
    EXPECT_THAT(merged.names(*merged.find("d"), "d"), ElementsAre("new"));
}

TEST_F(LayerApplier, MakesADirectoryOverAWhiteoutOpaque) {
    apply(TarBuilder().directory("d").file("d/old", ""));
    apply(TarBuilder().file(".wh.d", "").file("d/new", ""));
    EXPECT_TRUE(opaque(at(1, "d")));
    EXPECT_THAT(names(at(1, "d")), ElementsAre("new"));
}

TEST_F(LayerApplier, MarksOpaqueDirectoriesWhereverTheMarkStands) {
    apply(TarBuilder().directory("d").file("d/old", "").file("d/other", ""));
    apply(TarBuilder().file("d/.wh.old", "").file("d/new", "").file("d/.wh..wh..opq", "").file("d/.wh.other", ""));
    EXPECT_TRUE(opaque(at(1, "d")));
    EXPECT_THAT(names(at(1, "d")), ElementsAre("new"));  // plain whiteouts beside the mark confuse overlayfs
}

TEST_F(LayerApplier, RefusesAWhiteoutWithoutAName) {
    for (const std::string name : {".wh.", "d/.wh.", ".wh..", ".wh..."}) {
        EXPECT_THAT(failure_of(whiteout(name)), HasSubstr("a whiteout without a name")) << name;
    }
}

TEST_F(LayerApplier, PassesOverWhatAufsLeft) {
    apply(TarBuilder().directory(".wh..wh.plnk").file(".wh..wh.aufs", ""));
    EXPECT_THAT(names(at(0, "")), IsEmpty());
}

TEST_F(LayerApplier, LeavesOutDevicesThatWouldForgeAWhiteout) {
    TarBuilder::Entry device{"null", '3'};
    const auto applied = apply(TarBuilder().add(device));
    EXPECT_EQ(applied.losses.forgeries, 1U);
    EXPECT_THAT(names(at(0, "")), IsEmpty());
}

TEST_F(LayerApplier, TakesMissingParentsFromTheLowerLayers) {
    apply(TarBuilder().directory("a", 0700).directory("a/b", 01777));
    apply(TarBuilder().file("a/b/c/f", ""));
    EXPECT_EQ(stat_of(at(1, "a")).st_mode & 07777U, 0700U);
    EXPECT_EQ(stat_of(at(1, "a/b")).st_mode & 07777U, 01777U);
    EXPECT_EQ(stat_of(at(1, "a/b/c")).st_mode & 07777U, 0755U);
    EXPECT_EQ(stat_of(at(1, "a/b")).st_mtime, 1'000'000'000);
}

TEST_F(LayerApplier, FollowsALinkOfALowerLayerInsteadOfHidingIt) {
    apply(TarBuilder().directory("usr/lib").symlink("lib", "usr/lib"));
    apply(TarBuilder().file("lib/libx.so", "x"));
    EXPECT_FALSE(fs::exists(at(1, "lib")));
    EXPECT_EQ(text_of(at(1, "usr/lib/libx.so")), "x");
}

TEST_F(LayerApplier, CopiesTheTargetOfALinkUpFromALowerLayer) {
    apply(TarBuilder().directory("d", 0711).file("d/f", "text", 04711));
    apply(TarBuilder().hard_link("link", "d/f"));
    EXPECT_EQ(text_of(at(1, "link")), "text");
    EXPECT_EQ(stat_of(at(1, "link")).st_ino, stat_of(at(1, "d/f")).st_ino);
    EXPECT_EQ(stat_of(at(1, "link")).st_mode & 07777U, 04711U);
    EXPECT_EQ(stat_of(at(1, "d")).st_mode & 07777U, 0711U);
    EXPECT_EQ(text_of(at(0, "d/f")), "text");
}

TEST_F(LayerApplier, RefusesALinkToWhatALayerBetweenRemoved) {
    apply(TarBuilder().file("f", "text"));
    apply(whiteout(".wh.f"));
    EXPECT_THAT(failure_of(TarBuilder().hard_link("link", "f")), HasSubstr("does not exist"));
    EXPECT_THAT(failure_of(TarBuilder().directory("d").hard_link("link", "d")), HasSubstr("the target is a directory"));
}

TEST_F(LayerApplier, GivesOwnersAsRoot) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    TarBuilder::Entry entry{"f"};
    entry.uid = 1234;
    entry.gid = 2345;
    entry.mode = 06755;
    apply(TarBuilder().add(entry));
    EXPECT_EQ(stat_of(at(0, "f")).st_uid, 1234U);
    EXPECT_EQ(stat_of(at(0, "f")).st_gid, 2345U);
    EXPECT_EQ(stat_of(at(0, "f")).st_mode & 07777U, 06755U);
}

// CVE-2025-47290: a directory is swapped for a link between check and use.
TEST_F(LayerApplier, WritesNothingOutsideWhileSomebodySwapsDirectories) {
    const std::string outside = dir_ / "outside";
    fs::create_directory(outside);
    TarBuilder tar;
    for (int i = 0; i < 300; ++i) {
        tar.directory("d");
        tar.file("d/sub/f" + std::to_string(i), "x")
            .hard_link("d/l" + std::to_string(i), "d/sub/f" + std::to_string(i));
    }
    std::atomic<bool> stop{false};
    std::atomic<int> swaps{0};
    for (int round = 0; round < 5; ++round) {
        const std::string root = dir_ / std::to_string(roots_.size());
        std::thread swapper([&] {
            while (!stop) {
                if (::rename((root + "/d").c_str(), (root + "/away").c_str()) == 0) {
                    ::symlink(outside.c_str(), (root + "/d").c_str());
                    ++swaps;
                    std::this_thread::yield();
                    ::unlink((root + "/d").c_str());
                    ::rename((root + "/away").c_str(), (root + "/d").c_str());
                }
                if (::rename((root + "/d/sub").c_str(), (root + "/away2").c_str()) == 0) {
                    ::symlink(outside.c_str(), (root + "/d/sub").c_str());
                    ::unlink((root + "/d/sub").c_str());
                    ::rename((root + "/away2").c_str(), (root + "/d/sub").c_str());
                }
            }
        });
        failure_of(tar);  // may fail, must not leave the root
        stop = true;
        swapper.join();
        stop = false;
        EXPECT_THAT(names(outside), IsEmpty());
    }
    EXPECT_GT(swaps, 0);
}

}  // namespace
}  // namespace locald::image
