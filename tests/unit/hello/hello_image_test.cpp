// The embedded image: a layout whose blobs are what their names say, the same on every build, with a program that runs.

#include "hello/hello_image.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "core/base/sha256.hpp"
#include "core/oci/image_spec.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald {
namespace {

struct Entry {
    char type;
    unsigned long mode;
    std::string content;
};

/// The entries of a ustar archive by name; enough of a reader for what pack-hello writes.
std::map<std::string, Entry> entries_of(std::string_view tar) {
    constexpr std::size_t block = 512;
    std::map<std::string, Entry> entries;
    while (tar.size() >= block && tar.front() != '\0') {
        const auto field = [&](std::size_t at, std::size_t width) {
            return std::string(tar.substr(at, width).data(), ::strnlen(tar.data() + at, width));
        };
        const auto size = std::stoul(field(124, 12), nullptr, 8);
        entries[field(0, 100)] =
            Entry{tar[156], std::stoul(field(100, 8), nullptr, 8), std::string(tar.substr(block, size))};
        EXPECT_EQ(field(257, 5), "ustar");
        EXPECT_EQ(std::stoul(field(136, 12), nullptr, 8), 0U) << "a time would differ from build to build";
        tar.remove_prefix(block + (size + block - 1) / block * block);
    }
    EXPECT_EQ(tar, std::string(2 * block, '\0')) << "two empty blocks end an archive";
    return entries;
}

int status_of(const std::string& command) {
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string output_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class HelloImage : public ::testing::Test {
protected:
    std::map<std::string, Entry> layout = entries_of(hello::layout_tar());

    std::string blob(const oci::Descriptor& descriptor) const {
        const auto& content = layout.at("blobs/sha256/" + descriptor.digest.hex()).content;
        EXPECT_EQ(content.size(), descriptor.size);
        EXPECT_EQ(sha256_of(content), descriptor.digest);
        return content;
    }
    oci::Index index() const { return oci::parse_index(layout.at("index.json").content); }
};

TEST_F(HelloImage, IsALayoutWithOneImageOfItsName) {
    EXPECT_EQ(layout.at("oci-layout").content, R"({"imageLayoutVersion":"1.0.0"})");
    ASSERT_EQ(index().manifests.size(), 1U);
    EXPECT_EQ(index().manifests[0].annotations.at("org.opencontainers.image.ref.name"), "locald/hello");
    EXPECT_NO_THROW(oci::select_platform(index(), oci::host_platform()));
}

TEST_F(HelloImage, HasBlobsThatAreWhatTheirNamesSay) {
    const auto manifest = oci::parse_manifest(blob(index().manifests.at(0)));
    const auto config = oci::parse_image_config(blob(manifest.config));
    ASSERT_EQ(manifest.layers.size(), 1U);
    const auto layer = blob(manifest.layers[0]);
    ASSERT_EQ(config.diff_ids.size(), 1U);
    EXPECT_EQ(config.diff_ids[0], sha256_of(layer));
    EXPECT_EQ(config.entrypoint, std::vector<std::string>{"/hello"});
    EXPECT_EQ(config.os + "/" + config.architecture, oci::host_platform().os + "/" + oci::host_platform().architecture);
}

TEST_F(HelloImage, HoldsTheProgramAndLittleElse) {
    const auto manifest = oci::parse_manifest(blob(index().manifests.at(0)));
    const auto root = entries_of(blob(manifest.layers.at(0)));
    EXPECT_EQ(root.size(), 5U);
    EXPECT_EQ(root.at("hello").mode, 0755U);
    EXPECT_EQ(root.at("tmp/").mode, 01777U);
    EXPECT_EQ(root.at("tmp/").type, '5');
    EXPECT_EQ(root.at("etc/passwd").content.substr(0, 9), "root:x:0:");
    EXPECT_EQ(root.at("hello").content, output_of(LOCALD_HELLO_PROGRAM));
}

TEST_F(HelloImage, IsTheSameWhenPackedAgain) {
    const testing::TempDir dir;
    ASSERT_EQ(status_of(std::string(LOCALD_PACK_HELLO) + " " + LOCALD_HELLO_PROGRAM + " " + (dir / "again.tar")), 0);
    EXPECT_TRUE(output_of(dir / "again.tar") == hello::layout_tar());
}

TEST(PackHello, LeavesNothingBehindWhenItFails) {
    const testing::TempDir dir;
    EXPECT_EQ(status_of(std::string(LOCALD_PACK_HELLO) + " " + (dir / "missing") + " " + (dir / "x.tar") + " 2>" +
                        (dir / "err")),
              1);
    EXPECT_NE(output_of(dir / "err").find("missing: failed or empty"), std::string::npos) << output_of(dir / "err");
    EXPECT_FALSE(std::ifstream(dir / "x.tar").is_open());
}

TEST(HelloProgram, SaysWhatItSees) {
    const testing::TempDir dir;
    EXPECT_EQ(status_of(std::string(LOCALD_HELLO_PROGRAM) + " >" + (dir / "out")), 0);
    const auto said = output_of(dir / "out");
    for (const char* word : {"Hello from inside a container", "\n  hostname    ", "\n  process     pid ",
                             "\n  user        uid ", "\n  uid map     ", "\n  namespaces  cgroup ", "\n  cgroup      ",
                             "\n  mounts      ", "\n  kernel      Linux "}) {
        EXPECT_NE(said.find(word), std::string::npos) << word << " in\n" << said;
    }
}

TEST(HelloProgram, EndsWithTheStatusThatItIsGiven) {
    const std::string program = LOCALD_HELLO_PROGRAM;
    EXPECT_EQ(status_of(program + " exit 0"), 0);
    EXPECT_EQ(status_of(program + " exit 7"), 7);
    EXPECT_EQ(status_of(program + " exit 255"), 255);
    EXPECT_EQ(status_of(program + " --help >/dev/null"), 0);
    for (const char* wrong : {" exit 256", " exit -1", " exit 1x", " exit ''", " exit", " other"}) {
        EXPECT_EQ(status_of(program + wrong + " 2>/dev/null"), 2) << wrong;
    }
}

TEST(HelloProgram, FailsWhenItCannotSpeak) {
    EXPECT_EQ(status_of(std::string(LOCALD_HELLO_PROGRAM) + " >/dev/full 2>/dev/null"), 1);
}

}  // namespace
}  // namespace locald
