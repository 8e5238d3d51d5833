#include "core/image/store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/sha256.hpp"
#include "core/image/transfer.hpp"
#include "core/image/unpack.hpp"
#include "tests/support/image_builder.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayoutBuilder;
using ::testing::SizeIs;
using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

class ImageStore : public ::testing::Test {
protected:
    ImageRecord import_as(Store& store, const std::string& name, const std::string& content = "text") {
        const std::string path = dir_ / ("layout-" + std::to_string(layouts_++));
        LayoutBuilder(path).layer(TarBuilder().file("f", content).bytes()).finish();
        const auto image = import_image(store, oci::parse_image_name("oci:" + path), oci::parse_platform("linux/amd64"),
                                        false, {}, {});
        const auto named = store.tag(name, image.manifest);
        store.untag(image.name);
        return named;
    }
    std::vector<std::string> files(const std::string& name) const {
        std::vector<std::string> result;
        for (const auto& entry : fs::directory_iterator(dir_ / ("store/" + name))) {
            result.push_back(entry.path().filename());
        }
        return result;
    }
    static UnpackContext context() {
        UnpackContext context;
        context.worker.argv = {LOCALD_STORAGE_WORKER};
        if (::geteuid() != 0) context.maps = posix::caller_id_maps();
        return context;
    }
    template <class Call>
    static std::string failure_of(Call&& call) {
        try {
            call();
        } catch (const Error& e) {
            return e.what();
        }
        return "no failure";
    }

    TempDir dir_;
    std::string root_ = dir_ / "store";
    int layouts_ = 0;
};

TEST_F(ImageStore, IsPrivateAndAnOciLayout) {
    const Store store(root_);
    struct stat st {};
    ASSERT_EQ(::stat(root_.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777U, 0700U);
    EXPECT_TRUE(fs::exists(root_ + "/oci-layout"));
    EXPECT_THAT(store.list(), IsEmpty());
}

TEST_F(ImageStore, FindsImagesByNameReferenceAndId) {
    Store store(root_);
    const auto image = import_as(store, "docker.io/library/alpine:latest");
    EXPECT_EQ(image.platform.architecture, "amd64");
    EXPECT_EQ(image.created, "2024-01-01T00:00:00Z");
    for (const std::string& name : {std::string("docker.io/library/alpine:latest"), std::string("alpine"),
                                    image.id.hex().substr(0, 6), image.id.str()}) {
        const auto found = store.find(name);
        ASSERT_TRUE(found) << name;
        EXPECT_EQ(found->id, image.id);
    }
    EXPECT_FALSE(store.find("docker.io/library/debian:latest"));
    EXPECT_FALSE(store.find(image.id.hex().substr(0, 5)));
}

TEST_F(ImageStore, RefusesAnIdThatFitsTwoImages) {
    Store store(root_);
    // Two configs whose digests share six digits are found among some thousands.
    std::map<std::string, std::string> by_prefix;
    std::vector<std::string> configs;
    for (int i = 0; configs.empty(); ++i) {
        const std::string config = R"({"architecture":"amd64","os":"linux","author":")" + std::to_string(i) +
                                   R"(","rootfs":{"type":"layers","diff_ids":[]}})";
        const auto [other, is_new] = by_prefix.emplace(sha256_of(config).hex().substr(0, 6), config);
        if (!is_new) configs = {other->second, config};
    }
    std::string prefix;
    for (const auto& config : configs) {
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::manifest;
        manifest.config.media_type = oci::media_type::config;
        manifest.config.digest = store.put_blob(config);
        manifest.config.size = config.size();
        oci::Descriptor descriptor;
        descriptor.media_type = manifest.media_type;
        descriptor.digest = store.put_blob(oci::to_json(manifest));
        prefix = store.tag("one " + prefix, descriptor).id.hex().substr(0, 6);
        store.tag("again " + config, descriptor);  // two names of one image are one image
        EXPECT_EQ(failure_of([&] { store.find(prefix); }) == "no failure", &config == &configs.front());
    }
    EXPECT_THAT(failure_of([&] { store.find(prefix); }), HasSubstr("fits more than one image"));
}

TEST_F(ImageStore, MovesANameToANewImage) {
    Store store(root_);
    const auto old = import_as(store, "n", "old");
    const auto fresh = import_as(store, "n", "new");
    ASSERT_THAT(store.list(), SizeIs(1));
    EXPECT_EQ(store.list()[0].id, fresh.id);
    EXPECT_NE(old.id, fresh.id);
}

TEST_F(ImageStore, SaysThatANameIsNotThere) {
    Store store(root_);
    EXPECT_THAT(failure_of([&] { store.untag("nobody"); }), HasSubstr("there is no image nobody"));
}

TEST_F(ImageStore, RefusesABlobWithAnotherDigestOrSize) {
    Store store(root_);
    const auto put = [&](const Digest& expected, std::uint64_t size, std::string_view text) {
        return failure_of([&] {
            auto writer = store.new_blob(expected, size);
            writer.write(std::as_bytes(std::span(text)));
            writer.commit();
        });
    };
    EXPECT_THAT(put(sha256_of("a"), 0, "b"), HasSubstr("is damaged"));
    EXPECT_THAT(put(sha256_of("ab"), 3, "ab"), HasSubstr("has 2 bytes, announced were 3"));
    EXPECT_THAT(put(sha256_of("abc"), 2, "abc"), HasSubstr("more than the 2 bytes"));
    EXPECT_THAT(files("blobs/sha256"), IsEmpty());
    EXPECT_THAT(files("tmp"), IsEmpty());
    EXPECT_EQ(put(sha256_of("abc"), 3, "abc"), "no failure");
}

TEST_F(ImageStore, NoticesADamagedBlobWhenItReadsIt) {
    Store store(root_);
    const Digest digest = store.put_blob("content");
    const std::string path = root_ + "/blobs/sha256/" + digest.hex();
    ::chmod(path.c_str(), 0600);
    std::ofstream(path) << "contenu";
    EXPECT_THAT(failure_of([&] { store.read_blob(digest); }), HasSubstr("is damaged; remove "));
    EXPECT_THAT(failure_of([&] { store.read_blob(sha256_of("other")); }), HasSubstr("is not in the store"));
}

TEST_F(ImageStore, ListsAndRemovesImagesBesideADamagedOne) {
    Store store(root_);
    const auto bad = import_as(store, "bad", "1");
    const auto good = import_as(store, "good", "2");
    fs::remove(root_ + "/blobs/sha256/" + bad.id.hex());
    set_log_sink([](LogLevel, std::string_view) {});
    EXPECT_THAT(store.list(), SizeIs(2));
    EXPECT_EQ(store.find(good.id.str())->name, "good");
    EXPECT_THAT(failure_of([&] { store.find("bad"); }), HasSubstr("is not in the store"));
    store.collect_garbage();
    EXPECT_TRUE(store.find("good"));
    store.untag("bad");
    EXPECT_THAT(store.list(), SizeIs(1));
    set_log_sink({});
}

TEST_F(ImageStore, SweepsTemporariesOfTheDeadAndSparesThoseOfTheLiving) {
    Store store(root_);
    std::ofstream(root_ + "/tmp/blob-dead") << "x";
    auto writer = store.new_blob();
    const Store again(root_);
    EXPECT_THAT(files("tmp"), SizeIs(1));
    writer.write(std::as_bytes(std::span(std::string_view("text"))));
    EXPECT_EQ(writer.commit(), sha256_of("text"));
}

TEST_F(ImageStore, CollectsWhatNoNameNeeds) {
    Store store(root_);
    auto work = context();
    const auto kept = import_as(store, "kept", "1");
    const auto gone = import_as(store, "gone", "2");
    ensure_unpacked(store, kept, work, {}, {});
    ensure_unpacked(store, gone, work, {}, {});
    EXPECT_EQ(store.collect_garbage().blobs, 0U);
    store.untag("gone");
    const auto would = store.collect_garbage(true);
    const auto did = store.collect_garbage(false, &work);
    EXPECT_EQ(would.blobs, 3U);
    EXPECT_EQ(did.blobs, 3U);
    EXPECT_EQ(did.layers, 1U);
    EXPECT_EQ(did.bytes, would.bytes);
    EXPECT_GT(did.bytes, 0U);
    EXPECT_TRUE(find_unpacked(store, *store.find("kept"), work.maps));
    EXPECT_EQ(store.collect_garbage().blobs, 0U);
}

TEST_F(ImageStore, KeepsTheLayersOfAContainer) {
    Store store(root_);
    auto work = context();
    const auto image = import_as(store, "used");
    const auto layers = ensure_unpacked(store, image, work, {}, {}).layers;
    fs::create_directory(root_ + "/containers/c1");
    std::ofstream(root_ + "/containers/c1/config.json")
        << R"({"mounts":[{"options":["lowerdir=)" << layers.at(0) << R"(","userxattr"]}]})";
    store.untag("used");
    EXPECT_EQ(store.collect_garbage(false, &work).layers, 0U);
    EXPECT_TRUE(fs::exists(layers.at(0) + "/f"));
    fs::remove_all(root_ + "/containers/c1");
    EXPECT_EQ(store.collect_garbage(false, &work).layers, 1U);
    EXPECT_FALSE(fs::exists(layers.at(0)));
}

TEST_F(ImageStore, CollectsNothingWhileALeaseIsHeld) {
    Store store(root_);
    const auto lease = store.lease();
    EXPECT_THAT(failure_of([&] { store.collect_garbage(); }), HasSubstr("a pull or a start is under way"));
}

TEST_F(ImageStore, KeepsAllNamesOfProcessesThatTagAtOnce) {
    Store store(root_);
    const auto image = import_as(store, "base");
    constexpr int processes = 4;
    constexpr int names = 10;
    std::vector<pid_t> children;
    for (int p = 0; p < processes; ++p) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            try {
                Store own(root_);
                for (int n = 0; n < names; ++n) {
                    own.tag("p" + std::to_string(p) + "n" + std::to_string(n), image.manifest);
                }
                ::_exit(0);
            } catch (...) {
                ::_exit(1);
            }
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_THAT(store.list(), SizeIs(processes * names + 1));
}

TEST_F(ImageStore, UnpacksOnceForProcessesThatAskAtOnce) {
    Store store(root_);
    const auto image = import_as(store, "shared", std::string(3'000'000, 'x'));
    std::vector<pid_t> children;
    for (int p = 0; p < 3; ++p) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            try {
                Store own(root_);
                auto work = context();
                ::_exit(ensure_unpacked(own, *own.find("shared"), work, {}, {}).layers.size() == 1 ? 0 : 2);
            } catch (...) {
                ::_exit(1);
            }
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(fs::file_size(find_unpacked(store, image, context().maps)->layers.at(0) + "/f"), 3'000'000U);
}

// Whatever a killed command leaves, the next one uses or repairs.
TEST_F(ImageStore, SurvivesKillAtAnyMoment) {
    const std::string layout = dir_ / "layout";
    {
        LayoutBuilder builder(layout);
        TarBuilder big;
        for (int i = 0; i < 200; ++i) big.file("d/f" + std::to_string(i), std::string(5000, 'x'));
        builder.layer(big.bytes()).layer(TarBuilder().file("d/.wh.f1", "").bytes()).finish();
    }
    const auto name = oci::parse_image_name("oci:" + layout);
    const auto all = [&] {
        Store store(root_);
        auto work = context();
        const auto image = import_image(store, name, oci::parse_platform("linux/amd64"), false, {}, {});
        const auto unpacked = ensure_unpacked(store, image, work, {}, {});
        store.untag(image.name);
        store.collect_garbage(false, &work);
        return unpacked.layers.size();
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(8);
    int killed = 0;
    for (unsigned wait = 0; std::chrono::steady_clock::now() < end; wait = (wait + 7919) % 250'000) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::signal(SIGALRM, SIG_DFL);
            try {
                all();
            } catch (...) {
                ::_exit(1);
            }
            ::_exit(0);
        }
        ::usleep(wait);
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) ++killed;
        EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    }
    EXPECT_GT(killed, 5);
    EXPECT_EQ(all(), 2U);
    Store store(root_);
    // A worker outlives its killed master for a moment, and the collection leaves alone what a worker holds.
    const auto layers_are_gone = [&] {
        for (const auto& map : fs::directory_iterator(root_ + "/layers")) {
            if (!fs::is_empty(map)) return false;
        }
        return true;
    };
    for (int i = 0; i < 100 && !layers_are_gone(); ++i) {
        ::usleep(50'000);
        auto work = context();
        store.collect_garbage(false, &work);
    }
    EXPECT_THAT(files("tmp"), IsEmpty());
    EXPECT_THAT(files("blobs/sha256"), IsEmpty());
    for (const auto& map : fs::directory_iterator(root_ + "/layers")) EXPECT_TRUE(fs::is_empty(map)) << map;
}

TEST_F(ImageStore, NamesAFullDiskAndLeavesNothing) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    fs::create_directory(root_);
    ASSERT_EQ(::mount("none", root_.c_str(), "tmpfs", 0, "size=256k,mode=700"), 0);
    {
        Store store(root_);
        const auto text = failure_of([&] {
            auto writer = store.new_blob();
            const std::string block(65536, 'x');
            for (int i = 0; i < 64; ++i) writer.write(std::as_bytes(std::span(block)));
        });
        EXPECT_THAT(text, HasSubstr("No space left on device; free space on the file system of " + root_));
        EXPECT_THAT(files("tmp"), IsEmpty());
    }
    ::umount2(root_.c_str(), MNT_DETACH);
}

TEST_F(ImageStore, ReadsFromAReadOnlyFileSystemAndSaysWhyItCannotWrite) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    fs::create_directory(root_);
    ASSERT_EQ(::mount("none", root_.c_str(), "tmpfs", 0, "mode=700"), 0);
    ImageRecord image;
    auto work = context();
    {
        Store store(root_);
        image = import_as(store, "n");
        ensure_unpacked(store, image, work, {}, {});
    }
    ASSERT_EQ(::mount("none", root_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, "mode=700"), 0);
    {
        Store store(root_);
        EXPECT_THAT(store.list(), SizeIs(1));
        EXPECT_TRUE(find_unpacked(store, *store.find("n"), work.maps));
        const auto lease = store.lease();
        for (const auto& text :
             {failure_of([&] { store.put_blob("x"); }), failure_of([&] { store.tag("m", image.manifest); })}) {
            EXPECT_THAT(text, HasSubstr("Read-only file system; the image store " + root_));
        }
    }
    ::umount2(root_.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace locald::image
