#include "core/bundle/rootfs/image_source.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "core/base/error.hpp"
#include "core/image/tar_writer.hpp"
#include "core/posix/fs.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::bundle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
namespace fs = std::filesystem;

using Files = std::vector<std::pair<std::string, std::string>>;

std::string make_tar(const Files& files) {
    std::string tar;
    image::TarWriter writer([&tar](std::span<const std::byte> bytes) {
        tar.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    std::set<std::string> made;
    for (const auto& [name, text] : files) {
        const std::string parent = fs::path(name).parent_path();
        if (!parent.empty() && made.insert(parent).second) writer.directory(parent);
        writer.file(name, text);
    }
    writer.finish();
    return tar;
}

class ImageSourceTest : public ::testing::Test {
protected:
    ImageSourceTest() : store_(dir_ / "store") {
        context_.worker.argv = {LOCALD_STORAGE_WORKER};
        if (::geteuid() != 0) context_.maps = posix::caller_id_maps();
        options_.id = "web";
        options_.command = {"/bin/true"};
    }
    ~ImageSourceTest() override {
        if (context_.maps) image::remove_mapped_tree(dir_ / "store", context_);
    }

    image::ImageRecord add_image(const std::vector<Files>& layers, oci::ImageConfig config = {}) {
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::manifest;
        for (const auto& files : layers) {
            const std::string tar = make_tar(files);
            oci::Descriptor layer;
            layer.media_type = oci::media_type::layer;
            layer.digest = store_.put_blob(tar);
            layer.size = tar.size();
            config.diff_ids.push_back(layer.digest);
            manifest.layers.push_back(layer);
        }
        config.os = "linux";
        config.architecture = oci::host_platform().architecture;
        const std::string config_text = oci::to_json(config);
        manifest.config.media_type = oci::media_type::config;
        manifest.config.digest = store_.put_blob(config_text);
        manifest.config.size = config_text.size();
        const std::string text = oci::to_json(manifest);
        oci::Descriptor descriptor;
        descriptor.media_type = oci::media_type::manifest;
        descriptor.digest = store_.put_blob(text);
        descriptor.size = text.size();
        return store_.tag("example.org/test:latest", descriptor);
    }

    ContainerBundle prepare(std::optional<image::ImageRecord> image, const std::string& destination,
                            RootfsMode mode = RootfsMode::overlay, const std::string& rootfs = {}) {
        ImageSource source(store_, std::move(image), rootfs, options_, host_, mode, context_);
        return source.prepare(destination, {}, {});
    }
    static std::vector<std::string> names_in(const std::string& path) {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename());
        return names;
    }

    locald::testing::TempDir dir_;
    image::Store store_;
    image::UnpackContext context_;
    RunOptions options_;
    HostFacts host_;
};

TEST_F(ImageSourceTest, MakesAnOverlayOfTheLayersTopmostFirst) {
    const auto image = add_image({{{"etc/passwd", "old"}}, {{"etc/passwd", "root:x:0:0::/root:/bin/sh\n"}}});
    const auto bundle = prepare(image, dir_ / "bundle");
    ASSERT_FALSE(bundle.spec.mounts.empty());
    const auto& root = bundle.spec.mounts.front();
    EXPECT_EQ(root.destination, "/");
    EXPECT_EQ(root.type, "overlay");
    ASSERT_EQ(root.options.size(), 5U);
    EXPECT_THAT(root.options[0], StartsWith("lowerdir=" + (dir_ / "store")));
    const std::string lower = root.options[0].substr(9);
    const std::string top = lower.substr(0, lower.find(':'));
    EXPECT_EQ(posix::read_file(top + "/etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
    EXPECT_EQ(root.options[1], "upperdir=" + (dir_ / "bundle/upper"));
    EXPECT_EQ(root.options[2], "workdir=" + (dir_ / "bundle/work"));
    EXPECT_EQ(root.options[3], "userxattr");
    EXPECT_EQ(root.options[4], "volatile");
    EXPECT_EQ(bundle.spec.root->path, "rootfs");
    EXPECT_THAT(names_in(bundle.dir),
                UnorderedElementsAre("config.json", "rootfs", "upper", "work", "hosts", "hostname", "group"));
}

TEST_F(ImageSourceTest, WritesWhatItReturns) {
    host_.resolv_conf = "nameserver 192.0.2.1\n";
    const auto bundle = prepare(add_image({{{"etc/x", ""}}}), dir_ / "bundle");
    const auto loaded = load_bundle(bundle.dir);
    EXPECT_EQ(oci::to_json(loaded.spec), oci::to_json(bundle.spec));
    EXPECT_EQ(loaded.dir, bundle.dir);
    EXPECT_EQ(loaded.stop_signal, "SIGTERM");
    EXPECT_EQ(posix::read_file(bundle.dir + "/resolv.conf"), "nameserver 192.0.2.1\n");
    EXPECT_EQ(posix::read_file(bundle.dir + "/hostname"), "web\n");
}

TEST_F(ImageSourceTest, ResolvesTheUserThroughTheLayers) {
    oci::ImageConfig config;
    config.user = "app";
    const auto image = add_image(
        {{{"etc/passwd", "app:x:0:0::/app:/bin/sh\n"}, {"etc/group", "root:x:0:\n"}}, {{"etc/.wh.group", ""}}}, config);
    const auto bundle = prepare(image, dir_ / "bundle");
    EXPECT_THAT(bundle.spec.process->env, ::testing::Contains("HOME=/app"));
    EXPECT_TRUE(fs::exists(bundle.dir + "/group"));
    EXPECT_FALSE(fs::exists(bundle.dir + "/passwd"));
}

TEST_F(ImageSourceTest, KeepsTheBundleFromOthersAndItsFilesReadableInside) {
    const mode_t old = ::umask(077);
    const auto bundle = prepare(add_image({{{"etc/x", ""}}}), dir_ / "deep/er/bundle");
    ::umask(old);
    const auto mode = [&](const std::string& name) { return fs::status(bundle.dir + name).permissions(); };
    EXPECT_EQ(mode(""), fs::perms::owner_all);
    EXPECT_EQ(mode("/hosts"), fs::perms(0644));
    EXPECT_EQ(mode("/upper"), fs::perms(0755));
}

TEST_F(ImageSourceTest, EscapesPathsThatOverlayfsWouldCut) {
    const auto bundle = prepare(add_image({{{"etc/x", ""}}}), dir_ / "a:b\\c");
    EXPECT_EQ(bundle.spec.mounts.front().options[1], "upperdir=" + (dir_ / "a\\:b\\\\c/upper"));
}

TEST_F(ImageSourceTest, NeedsNoOverlayForAnImageWithoutLayers) {
    const auto bundle = prepare(add_image({}), dir_ / "bundle");
    EXPECT_NE(bundle.spec.mounts.front().destination, "/");
    EXPECT_THAT(names_in(bundle.dir + "/rootfs"), IsEmpty());
}

TEST_F(ImageSourceTest, FlattensForOtherRuntimes) {
    const auto image = add_image({{{"bin/a", "a"}, {"bin/b", "b"}}, {{"bin/.wh.a", ""}, {"bin/c", "c"}}});
    const auto bundle = prepare(image, dir_ / "bundle", RootfsMode::directory);
    EXPECT_THAT(names_in(bundle.dir + "/rootfs/bin"), UnorderedElementsAre("b", "c"));
    EXPECT_EQ(bundle.spec.mounts.front().destination, "/proc");
    EXPECT_FALSE(fs::exists(bundle.dir + "/upper"));
    EXPECT_EQ(load_bundle(bundle.dir).spec.root->path, "rootfs");
}

TEST_F(ImageSourceTest, UsesAPlainDirectoryInPlace) {
    fs::create_directories(dir_ / "root/etc");
    std::ofstream(dir_ / "root/etc/passwd") << "root:x:0:0::/home:/bin/sh\n";
    fs::create_directory_symlink("root", dir_ / "link");
    const auto bundle = prepare(std::nullopt, dir_ / "bundle", RootfsMode::overlay, dir_ / "link");
    EXPECT_EQ(bundle.spec.root->path, dir_ / "root");
    EXPECT_THAT(bundle.spec.process->env, ::testing::Contains("HOME=/home"));
    EXPECT_EQ(bundle.spec.mounts.front().destination, "/proc");
    EXPECT_FALSE(fs::exists(bundle.dir + "/rootfs"));
}

TEST_F(ImageSourceTest, LeavesNothingBehindOnAnError) {
    const auto image = add_image({{{"etc/x", ""}}});
    options_.user = "nobody-here";
    EXPECT_THROW(prepare(image, dir_ / "bundle"), Error);
    EXPECT_FALSE(fs::exists(dir_ / "bundle"));
    fs::create_directory(dir_ / "empty");
    EXPECT_THROW(prepare(image, dir_ / "empty"), Error);
    EXPECT_THAT(names_in(dir_ / "empty"), IsEmpty());
}

TEST_F(ImageSourceTest, LeavesNothingBehindWhenCancelledHalfway) {
    const auto image = add_image({{{"etc/x", ""}}});
    ImageSource source(store_, image, {}, options_, host_, RootfsMode::directory, context_);
    CancelToken cancel;
    // The first report of the unpacking worker asks for the end.
    EXPECT_THROW(source.prepare(
                     dir_ / "bundle", [&](const Progress&) { cancel.cancel(); }, cancel),
                 Error);
    EXPECT_FALSE(fs::exists(dir_ / "bundle"));
}

TEST_F(ImageSourceTest, RefusesADirectoryThatIsInUse) {
    fs::create_directory(dir_ / "used");
    std::ofstream(dir_ / "used/mine") << "x";
    try {
        prepare(add_image({{{"etc/x", ""}}}), dir_ / "used");
        FAIL() << "nothing was thrown";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::exists);
        EXPECT_FALSE(e.remedy().empty());
    }
    EXPECT_THAT(names_in(dir_ / "used"), ElementsAre("mine"));
}

TEST_F(ImageSourceTest, NamesAPlainDirectoryThatIsMissing) {
    try {
        prepare(std::nullopt, dir_ / "bundle", RootfsMode::overlay, dir_ / "missing");
        FAIL() << "nothing was thrown";
    } catch (const Error& e) {
        EXPECT_THAT(e.message(), HasSubstr(dir_ / "missing"));
    }
    EXPECT_FALSE(fs::exists(dir_ / "bundle"));
}

class LoadBundle : public ::testing::Test {
protected:
    std::string error_for(const std::string& config) {
        std::ofstream(dir_ / "config.json") << config;
        try {
            load_bundle(dir_.path());
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    }
    locald::testing::TempDir dir_;
};

TEST_F(LoadBundle, NamesWhatIsWrong) {
    EXPECT_THROW(load_bundle(dir_ / "missing"), Error);
    EXPECT_THAT(error_for("{"), HasSubstr("config.json"));
    EXPECT_THAT(error_for(R"({"ociVersion":"1.0.2"})"), HasSubstr("root.path"));
    EXPECT_THAT(error_for(R"({"ociVersion":"1.0.2","root":{"path":"rootfs"}})"), HasSubstr(dir_ / "rootfs"));
    fs::create_directory(dir_ / "rootfs");
    EXPECT_EQ(error_for(R"({"ociVersion":"1.0.2","root":{"path":"rootfs"}})"), "");
    EXPECT_THAT(error_for(R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},
                             "annotations":{"org.opencontainers.image.stopSignal":"x"}})"),
                HasSubstr("stopSignal"));
}

TEST_F(LoadBundle, ReadsTheStopSignal) {
    fs::create_directory(dir_ / "rootfs");
    EXPECT_EQ(error_for(R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},
                           "annotations":{"org.opencontainers.image.stopSignal":"SIGQUIT"}})"),
              "");
    EXPECT_EQ(load_bundle(dir_.path()).stop_signal, "SIGQUIT");
}

}  // namespace
}  // namespace locald::bundle
