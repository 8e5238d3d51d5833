#include "core/image/transfer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "tests/support/image_builder.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using ::testing::HasSubstr;
using testing::LayoutBuilder;
using ::testing::SizeIs;
using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

class Transfer : public ::testing::Test {
protected:
    ImageRecord import_from(const std::string& name, bool keep = false) {
        return import_image(store_, oci::parse_image_name(name), oci::parse_platform("linux/amd64"), keep, {}, {});
    }
    std::string failure_of(const std::string& name) {
        try {
            import_from(name);
        } catch (const Error& e) {
            return e.what();
        }
        return "no failure";
    }
    void write(const std::string& name, const std::string& bytes) const {
        std::ofstream(dir_ / name, std::ios::binary) << bytes;
    }
    static std::string layer(const std::string& content) { return TarBuilder().file("f", content).bytes(); }
    static std::string config(const std::vector<Digest>& diff_ids) {
        std::string text = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[)";
        for (const auto& digest : diff_ids) text += (text.ends_with("[") ? "\"" : ",\"") + digest.str() + "\"";
        return text + "]}}";
    }

    TempDir dir_;
    Store store_{dir_ / "store"};
};

TEST_F(Transfer, ImportsALayoutDirectoryByItsText) {
    LayoutBuilder(dir_ / "l").layer(layer("x")).finish();
    const std::string name = "oci:" + dir_ / "l";
    EXPECT_EQ(import_from(name).name, name);
    EXPECT_TRUE(store_.find(name));
}

TEST_F(Transfer, KeepsTheReferenceOfTheLayout) {
    LayoutBuilder(dir_ / "l").layer(layer("x")).finish("example.org/app:1");
    EXPECT_EQ(import_from("oci:" + dir_ / "l", true).name, "example.org/app:1");
}

TEST_F(Transfer, LeavesTheImageOfTheArchivesNameWhenAnotherNameIsWanted) {
    LayoutBuilder(dir_ / "old").layer(layer("old")).finish("example.org/app:1");
    LayoutBuilder(dir_ / "new").layer(layer("new")).finish("example.org/app:1");
    const auto old = import_from("oci:" + dir_ / "old", true);
    const auto image = import_image(store_, oci::parse_image_name("oci:" + dir_ / "new"),
                                    oci::parse_platform("linux/amd64"), true, {}, {}, "example.org/second:1");
    EXPECT_EQ(image.name, "example.org/second:1");
    ASSERT_TRUE(store_.find("example.org/app:1"));
    EXPECT_EQ(store_.find("example.org/app:1")->id, old.id);
}

TEST_F(Transfer, AsksWhichImageOfALayout) {
    LayoutBuilder builder(dir_ / "l");
    builder.layer(layer("1")).finish("one");
    builder.layer(layer("2")).finish("two");
    EXPECT_THAT(failure_of("oci:" + dir_ / "l"), HasSubstr("more than one image: one, two"));
    EXPECT_THAT(failure_of("oci:" + dir_ / "l:three"), HasSubstr("no image named three; it has one, two"));
    EXPECT_NE(import_from("oci:" + dir_ / "l:one").id, import_from("oci:" + dir_ / "l:two").id);
}

TEST_F(Transfer, RefusesBlobsThatAreNotWhatTheirDigestSays) {
    LayoutBuilder builder(dir_ / "l");
    const std::string tar = layer("x");
    builder.layer(tar).finish();
    std::string other = tar;
    other[600] = 'y';
    builder.write("blobs/sha256/" + sha256_of(tar).hex(), other);
    EXPECT_THAT(failure_of("oci:" + dir_ / "l"), HasSubstr("is damaged"));
    EXPECT_TRUE(store_.list().empty());
}

// CVE-2024-3727: a digest as a file name.
TEST_F(Transfer, RefusesDigestsThatAreNone) {
    for (const std::string& digest :
         {std::string("sha256:../../x"), "sha256:" + std::string(63, 'a'), "sha256:" + std::string(65, 'a'),
          "sha256:" + std::string(64, 'A'), "md5:" + std::string(64, 'a')}) {
        LayoutBuilder builder(dir_ / "l");
        builder.write("index.json", R"({"schemaVersion":2,"manifests":[{"mediaType":)"
                                    R"("application/vnd.oci.image.manifest.v1+json","size":1,"digest":")" +
                                        digest + "\"}]}");
        EXPECT_THAT(failure_of("oci:" + dir_ / "l"), HasSubstr("digest")) << digest;
    }
}

TEST_F(Transfer, TakesABlobThatIsAFifoForAnError) {
    LayoutBuilder(dir_ / "l").layer(layer("x")).finish();
    fs::remove(dir_ / "l/index.json");
    ::mkfifo((dir_ / "l/index.json").c_str(), 0600);
    EXPECT_THAT(failure_of("oci:" + dir_ / "l"), HasSubstr("no regular file"));
}

TEST_F(Transfer, ExportsTheSameBytesEachTimeAndTakesThemIn) {
    LayoutBuilder(dir_ / "l").layer(layer("1")).layer(layer("2")).finish("example.org/app:1");
    const auto image = import_from("oci:" + dir_ / "l", true);
    for (const std::string name : {"a.tar", "b.tar"}) {
        export_image(store_, image, {ExportTarget::Form::oci_archive, dir_ / name}, {}, {});
    }
    export_image(store_, image, {ExportTarget::Form::oci_directory, dir_ / "exported"}, {}, {});
    EXPECT_EQ(posix::read_file(dir_ / "a.tar"), posix::read_file(dir_ / "b.tar"));
    store_.untag(image.name);
    store_.collect_garbage();
    EXPECT_EQ(import_from("oci-archive:" + dir_ / "a.tar", true).name, "example.org/app:1");
    store_.untag(image.name);
    store_.collect_garbage();
    EXPECT_EQ(import_from("oci:" + dir_ / "exported", true).id, image.id);
}

TEST_F(Transfer, ExportsIntoNoDirectoryThatHasSomething) {
    LayoutBuilder(dir_ / "l").layer(layer("1")).finish();
    const auto image = import_from("oci:" + dir_ / "l");
    EXPECT_THROW(export_image(store_, image, {ExportTarget::Form::oci_directory, dir_ / "l"}, {}, {}), Error);
    EXPECT_TRUE(fs::exists(dir_ / "l/index.json"));
}

TEST_F(Transfer, ImportsADockerArchiveWithLinkedLayers) {
    const std::string tar = layer("x");
    const std::string text = config({sha256_of(tar), sha256_of(tar)});
    write("d.tar", TarBuilder()
                       .file("c.json", text)
                       .file("one/layer.tar", tar)
                       .symlink("two/layer.tar", "../one/layer.tar")
                       .file("manifest.json", R"([{"Config":"c.json","RepoTags":["app:1"],)"
                                              R"("Layers":["one/layer.tar","two/layer.tar"]}])")
                       .bytes());
    const auto image = import_from("docker-archive:" + dir_ / "d.tar", true);
    EXPECT_EQ(image.name, "docker.io/library/app:1");
    EXPECT_EQ(image.id, sha256_of(text));
    EXPECT_THAT(store_.manifest_of(image).layers, SizeIs(2));
    EXPECT_EQ(import_from("docker-archive:" + dir_ / "d.tar:app:1").id, image.id);
    EXPECT_THAT(failure_of("docker-archive:" + dir_ / "d.tar:other:1"), HasSubstr("no image other:1; it has app:1"));
}

TEST_F(Transfer, RefusesADockerLayerThatIsNotItsDiffId) {
    write("d.tar", TarBuilder()
                       .file("c.json", config({sha256_of("something else")}))
                       .file("layer.tar", layer("x"))
                       .file("manifest.json", R"([{"Config":"c.json","Layers":["layer.tar"]}])")
                       .bytes());
    EXPECT_THAT(failure_of("docker-archive:" + dir_ / "d.tar"), HasSubstr("is damaged"));
}

// CVE-2025-11395: crafted archives; members are read by name and put nowhere.
TEST_F(Transfer, RefusesArchivesWhoseNamesClimbOut) {
    for (const std::string link : {"../../etc/passwd", "/etc/passwd", "manifest.json"}) {
        write("d.tar", TarBuilder().symlink("manifest.json", link).bytes());
        EXPECT_NE(failure_of("docker-archive:" + dir_ / "d.tar"), "no failure") << link;
    }
    write("d.tar", TarBuilder().file("../evil", "x").bytes());
    EXPECT_THAT(failure_of("docker-archive:" + dir_ / "d.tar"), HasSubstr("climbs above the root"));
    EXPECT_FALSE(fs::exists(dir_ / "evil"));
    EXPECT_FALSE(fs::exists(dir_ / "../evil"));
}

TEST_F(Transfer, TakesAnEmbeddedLayoutOnce) {
    LayoutBuilder(dir_ / "l").layer(layer("1")).finish();
    const auto image = import_from("oci:" + dir_ / "l");
    export_image(store_, image, {ExportTarget::Form::oci_archive, dir_ / "a.tar"}, {}, {});
    const std::string tar = posix::read_file(dir_ / "a.tar");
    Store other(dir_ / "other");
    EXPECT_EQ(import_embedded(other, "locald/hello", tar).name, "locald/hello");
    struct stat before {};
    struct stat after {};
    ASSERT_EQ(::stat((dir_ / "other/index.json").c_str(), &before), 0);
    EXPECT_EQ(import_embedded(other, "locald/hello", tar).id, image.id);
    ASSERT_EQ(::stat((dir_ / "other/index.json").c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

}  // namespace
}  // namespace locald::image
