#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/image/layer_applier.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/tar_builder.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

void list_merged(MergedTree& tree, const std::string& path, std::vector<std::string>& found) {
    const auto node = tree.find(path);
    if (!node || !S_ISDIR(node->st.st_mode)) return;
    for (const auto& name : tree.names(*node, path)) {
        const std::string child = path.empty() ? name : path + "/" + name;
        found.push_back(child);
        list_merged(tree, child, found);
    }
}

// The kernel is the judge of what our whiteouts, marks and the merged view mean.
TEST(OverlayView, IsWhatTheKernelShowsOfTheLayers) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    const TempDir dir;
    const std::vector<std::string> archives = {
        TarBuilder()
            .directory("usr/lib")
            .symlink("lib", "usr/lib")
            .directory("opaque")
            .file("opaque/hidden", "")
            .directory("replaced")
            .file("replaced/hidden", "")
            .file("gone", "")
            .file("usr/lib/gone", "")
            .file("file-then-directory", "")
            .bytes(),
        TarBuilder()
            .file("lib/added", "")
            .file("usr/lib/.wh.gone", "")
            .file(".wh.gone", "")
            .file(".wh.absent", "")
            .file("opaque/.wh..wh..opq", "")
            .file("opaque/shown", "")
            .file(".wh.replaced", "")
            .file("replaced/shown", "")
            .directory("file-then-directory")
            .file("new/.wh.absent", "")
            .bytes(),
        TarBuilder().file("opaque/again", "").hard_link("linked", "usr/lib/added").bytes()};
    std::vector<std::unique_ptr<posix::UniqueFd>> roots;
    std::vector<const posix::UniqueFd*> views;
    std::string lower;
    for (const auto& bytes : archives) {
        const std::string path = dir / ("layer" + std::to_string(roots.size()));
        fs::create_directory(path);
        roots.push_back(std::make_unique<posix::UniqueFd>(posix::open(path, O_RDONLY | O_DIRECTORY)));
        MergedTree below(views);
        MemoryChunks chunks(bytes);
        TarReader reader(chunks);
        LayerTree::Lower get_lower;
        if (!views.empty()) get_lower = [&] { return &below; };
        apply_layer(reader, *roots.back(), get_lower, Owners::of_this_process());
        views.push_back(roots.back().get());
        lower = lower.empty() ? path : path + ":" + lower;
    }
    const std::string target = dir / "merged";
    fs::create_directory(target);
    ASSERT_EQ(::mount("overlay", target.c_str(), "overlay", MS_RDONLY, ("userxattr,lowerdir=" + lower).c_str()), 0)
        << errno;
    std::vector<std::string> kernel;
    for (const auto& entry : fs::recursive_directory_iterator(target)) {
        kernel.push_back(fs::relative(entry.path().parent_path(), target) / entry.path().filename());
        if (kernel.back().starts_with("./")) kernel.back().erase(0, 2);
    }
    ::umount2(target.c_str(), MNT_DETACH);
    std::vector<std::string> ours;
    MergedTree merged(views);
    list_merged(merged, "", ours);
    std::sort(kernel.begin(), kernel.end());
    std::sort(ours.begin(), ours.end());
    EXPECT_EQ(ours, kernel);
    EXPECT_THAT(ours, ::testing::Contains("usr/lib/added"));
    EXPECT_THAT(ours, ::testing::Contains("replaced/shown"));
    EXPECT_THAT(ours, ::testing::Not(::testing::Contains("replaced/hidden")));
}

}  // namespace
}  // namespace locald::image
