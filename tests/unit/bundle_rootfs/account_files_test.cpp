#include "core/bundle/rootfs/account_files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::bundle {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// Layers as the store keeps them, bottom first.
class Layers : public ::testing::Test {
protected:
    std::string layer() {
        layers_.push_back(dir_ / std::to_string(layers_.size()));
        fs::create_directories(layers_.back());
        return layers_.back();
    }
    static void write(const std::string& path, const std::string& text) {
        fs::create_directories(fs::path(path).parent_path());
        std::ofstream(path) << text;
    }
    static void link(const std::string& target, const std::string& path) {
        fs::create_directories(fs::path(path).parent_path());
        fs::create_symlink(target, path);
    }
    static bool whiteout(const std::string& path) {
        fs::create_directories(fs::path(path).parent_path());
        return ::mknod(path.c_str(), S_IFCHR, makedev(0, 0)) == 0;
    }
    static bool make_opaque(const std::string& path) {
        fs::create_directories(path);
        return ::setxattr(path.c_str(), "user.overlay.opaque", "y", 1, 0) == 0;
    }
    AccountFiles read() const { return read_account_files(layers_); }
    Error error() const {
        try {
            static_cast<void>(read());
        } catch (const Error& e) {
            return e;
        }
        ADD_FAILURE() << "nothing was thrown";
        return {ErrorKind::system, ""};
    }

    locald::testing::TempDir dir_;
    std::vector<std::string> layers_;
};

TEST_F(Layers, GiveTheTopmostFile) {
    write(layer() + "/etc/passwd", "old");
    write(layers_[0] + "/etc/group", "group");
    write(layer() + "/etc/passwd", "new");
    layer();
    EXPECT_EQ(read().passwd, "new");
    EXPECT_EQ(read().group, "group");
}

TEST_F(Layers, MayLackTheFiles) {
    layer();
    EXPECT_EQ(read().passwd, "");
    write(layer() + "/etc/other", "");
    EXPECT_EQ(read().group, "");
}

TEST_F(Layers, HideWhatAWhiteoutRemoved) {
    write(layer() + "/etc/passwd", "old");
    write(layers_[0] + "/etc/group", "group");
    LOCALD_REQUIRE(whiteout(layer() + "/etc/passwd"), "whiteout devices");
    EXPECT_EQ(read().passwd, "");
    EXPECT_EQ(read().group, "group");
    ASSERT_TRUE(whiteout(layer() + "/etc"));
    EXPECT_EQ(read().group, "");
    write(layer() + "/etc/group", "again");
    EXPECT_EQ(read().group, "again");
    EXPECT_EQ(read().passwd, "");
}

TEST_F(Layers, HideWhatLiesBelowAnOpaqueDirectory) {
    write(layer() + "/etc/passwd", "old");
    write(layers_[0] + "/etc/group", "old");
    LOCALD_REQUIRE(make_opaque(layer() + "/etc"), "user xattrs on the temporary directory");
    write(layers_[1] + "/etc/group", "new");
    EXPECT_EQ(read().passwd, "");
    EXPECT_EQ(read().group, "new");
}

TEST_F(Layers, HideADirectoryBehindAFile) {
    write(layer() + "/etc/passwd", "old");
    write(layer() + "/etc", "a file");
    EXPECT_EQ(read().passwd, "");
    write(layer() + "/etc/passwd", "new");
    EXPECT_EQ(read().passwd, "new");
}

TEST_F(Layers, FollowLinksInTheMergedTree) {
    write(layer() + "/usr/etc/passwd", "real");
    link("usr/etc", layer() + "/etc");
    EXPECT_EQ(read().passwd, "real");
    link("/../../data/group", layer() + "/usr/etc/group");
    write(layer() + "/data/group", "far");
    EXPECT_EQ(read().group, "far");
}

// CVE-2024-9676: a link to a file of the host, which is the reader's to open.
TEST_F(Layers, NeverLeadOutside) {
    write(dir_ / "secret", "secret");
    write(dir_ / "outside/passwd", "secret");
    link(dir_ / "secret", layer() + "/etc/passwd");
    link("../../secret", layers_[0] + "/etc/group");
    EXPECT_EQ(read().passwd, "");
    EXPECT_EQ(read().group, "");
    link("../outside", layer() + "/etc");
    EXPECT_EQ(read().passwd, "");
    link("/proc/self/root" + (dir_ / "outside"), layer() + "/etc");
    EXPECT_EQ(read().passwd, "");
}

TEST_F(Layers, GiveUpOnALoopOfLinks) {
    link("passwd2", layer() + "/etc/passwd");
    link("passwd", layers_[0] + "/etc/passwd2");
    EXPECT_EQ(read().passwd, "");
}

TEST_F(Layers, RefuseAFifoWithoutWaitingForAWriter) {
    fs::create_directories(layer() + "/etc");
    ASSERT_EQ(::mkfifo((layers_[0] + "/etc/passwd").c_str(), 0644), 0);
    EXPECT_EQ(error().kind(), ErrorKind::invalid);
    EXPECT_THAT(error().message(), HasSubstr("not a regular file"));
}

TEST_F(Layers, RefuseDirectoriesAndDevices) {
    fs::create_directories(layer() + "/etc/passwd");
    EXPECT_THAT(error().message(), HasSubstr("/etc/passwd"));
    fs::remove(layers_[0] + "/etc/passwd");
    LOCALD_REQUIRE(::mknod((layers_[0] + "/etc/passwd").c_str(), S_IFCHR | 0644, makedev(1, 5)) == 0, "mknod");
    EXPECT_THAT(error().message(), HasSubstr("not a regular file"));
}

// CVE-2026-47262: the size is a hole, so only a reader without a bound would need the memory.
TEST_F(Layers, RefuseAHugeFile) {
    write(layer() + "/etc/group", "");
    fs::resize_file(layers_[0] + "/etc/group", 1ULL << 30U);
    EXPECT_EQ(error().kind(), ErrorKind::invalid);
    EXPECT_THAT(error().message(), HasSubstr("/etc/group"));
}

}  // namespace
}  // namespace locald::bundle
