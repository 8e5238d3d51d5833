// Images between two hosts: an agent in a thread, with images of the test's own.

#include "backends/agent/bulk.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "backends/protocol/bulk_link.hpp"
#include "backends/remote/bulk_images.hpp"
#include "backends/remote/local_files.hpp"
#include "core/host/pipe.hpp"
#include "tests/support/fake_runtime.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using namespace locald::testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

std::string many(std::size_t count, char what) {
    std::string text;
    text.resize(count, what);
    return text;
}

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

template <class F>
std::string failure_of(F&& body) {
    try {
        body();
    } catch (const Error& e) {
        return e.what();
    }
    return "no failure";
}

/// Reads what `wanted` names, and writes what it is told to.
class TestImages final : public FakeImages {
public:
    runtime::ImageSummary import_from(FileSource& source, const oci::ImageName& name, const std::string& name_as,
                                      const ProgressSink& progress, const CancelToken&) override {
        std::vector<std::byte> block(100'000);
        for (const auto& [file, offset] : wanted) {
            const auto size = source.size_of(file);
            if (!size) throw Error(ErrorKind::not_found, name.path + " has no " + file);
            for (std::uint64_t at = offset; at < *size;) {
                const auto n = source.read(file, at, *size, block);
                if (n == 0) break;
                got.append(reinterpret_cast<const char*>(block.data()), n);
                at += n;
                if (progress) progress({"import", file, at, *size, false});
                if (leave_after != 0 && got.size() >= leave_after) break;
            }
        }
        runtime::ImageSummary image;
        image.name = name_as;
        image.size = got.size();
        return image;
    }
    void export_to_sink(const std::string& name, FileSink& sink, bool directory, const ProgressSink&,
                        const CancelToken&) override {
        sink.begin(name);
        for (const auto& [file, bytes] : files) {
            sink.file(directory ? file : "");
            sink.write(std::as_bytes(std::span(bytes)));
        }
        if (fails) throw Error(ErrorKind::corrupt, "export " + name + ": damaged");
    }

    std::vector<std::pair<std::string, std::uint64_t>> wanted;
    std::uint64_t leave_after = 0;
    std::string got;
    std::vector<std::pair<std::string, std::string>> files;
    bool fails = false;
};

class ImageRuntime : public FakeRuntime {
public:
    runtime::Images& images() override { return images_; }
    TestImages images_;
};

class BulkTransfer : public ::testing::Test {
protected:
    ConnectBulk connect() {
        return [this] {
            const auto ends = host::make_socket_pair();
            agents_.emplace_back([this, end = ends[1]] { serve_bulk(far_, end, ::dup(end)); });
            AgentLink link;
            link.handle = ends[0];
            return link;
        };
    }
    void TearDown() override {
        for (auto& agent : agents_) agent.join();
    }
    runtime::ImageSummary import(const std::string& path, const CancelToken& cancel = {}) {
        oci::ImageName name;
        name.kind = oci::ImageKind::oci_layout;
        name.path = name.text = path;
        return import_over(
            connect(), name, "as", [this](const Progress& step) { progress_ = step.done; }, cancel);
    }
    void export_to(const std::string& path) { export_over(connect(), "image", path, {}, {}); }

    TempDir dir_;
    ImageRuntime far_;
    std::vector<std::thread> agents_;
    std::uint64_t progress_ = 0;
};

}  // namespace

TEST_F(BulkTransfer, AFileIsReadFromAnyPlace) {
    std::string bytes = many(20'000'000, 'x');
    for (std::size_t at = 0; at < bytes.size(); at += 1000) bytes[at] = static_cast<char>(at / 1000);
    std::ofstream(dir_ / "file", std::ios::binary) << bytes;
    far_.images_.wanted = {{"", 0}, {"", 19'000'000}, {"", 3}};
    const auto image = import(dir_ / "file");
    EXPECT_EQ(image.name, "as");
    EXPECT_TRUE(far_.images_.got == bytes + bytes.substr(19'000'000) + bytes.substr(3));
    EXPECT_EQ(progress_, bytes.size());
}

TEST_F(BulkTransfer, WhatWasAskedForAheadAndIsNotWantedIsLetGoBy) {
    fs::create_directory(dir_ / "d");
    std::ofstream(dir_ / "d/a") << many(12'000'000, 'a');
    std::ofstream(dir_ / "d/b") << std::string(1000, 'b');
    far_.images_.wanted = {{"a", 0}, {"b", 0}};
    far_.images_.leave_after = 70'000;
    import(dir_ / "d");
    EXPECT_TRUE(far_.images_.got.ends_with("b"));
    EXPECT_LT(far_.images_.got.size(), 300'000U);
}

TEST_F(BulkTransfer, ErrorsOfThisSideComeBackWithTheStepOfTheOther) {
    fs::create_directory(dir_ / "d");
    far_.images_.wanted = {{"nothing", 0}};
    EXPECT_THAT(failure_of([&] { import(dir_ / "d"); }), HasSubstr("/d has no nothing"));
    fs::create_directory(dir_ / "d/nothing");
    EXPECT_THAT(failure_of([&] { import(dir_ / "d"); }), HasSubstr("nothing is no regular file"));
    EXPECT_THAT(failure_of([&] { import(dir_ / "e"); }), HasSubstr("open " + (dir_ / "e") + ": No such file"));
}

TEST_F(BulkTransfer, ACancelledOneEndsTheOtherSideToo) {
    std::ofstream(dir_ / "file") << many(30'000'000, 'x');
    far_.images_.wanted.assign(1000, {"", 0});
    const CancelToken cancel;
    std::thread canceller([&] {
        std::this_thread::sleep_for(100ms);
        cancel.cancel();
    });
    EXPECT_THAT(failure_of([&] { import(dir_ / "file", cancel); }), HasSubstr("cancelled"));
    canceller.join();
}

TEST_F(BulkTransfer, AnExportIsThereWholeOrNotAtAll) {
    far_.images_.files = {{"index.json", "one"}, {"oci-layout", std::string(200'000, 'z')}};
    export_to(dir_ / "out.tar");
    EXPECT_EQ(contents(dir_ / "out.tar"), "one" + std::string(200'000, 'z'));
    export_to(dir_ / "out/");
    EXPECT_EQ(contents(dir_ / "out/index.json"), "one");
    far_.images_.fails = true;
    EXPECT_THAT(failure_of([&] { export_to(dir_ / "bad.tar"); }), HasSubstr("damaged"));
    EXPECT_THAT(failure_of([&] { export_to(dir_ / "bad/"); }), HasSubstr("damaged"));
    EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / ""), {}), 2);
}

TEST_F(BulkTransfer, AnotherHostNamesNoFileOutsideOfAnExport) {
    for (const std::string name : {"../out", "/etc/x", "blobs/sha256/../../x", "index.json/", ""}) {
        far_.images_.files = {{name, "x"}};
        EXPECT_THAT(failure_of([&] { export_to(dir_ / "out/"); }), HasSubstr("a file of another name")) << name;
        EXPECT_FALSE(fs::exists(dir_ / "out")) << name;
    }
}

TEST(LocalFiles, AnotherHostReadsNothingOutsideOfWhatWasNamed) {
    const TempDir dir;
    std::ofstream(dir / "secret") << "secret";
    fs::create_directories(dir / "d/sub");
    std::ofstream(dir / "d/sub/file") << "inside";
    fs::create_symlink("../../secret", dir / "d/sub/up");
    fs::create_symlink(dir / "secret", dir / "d/absolute");
    fs::create_symlink("/sub/file", dir / "d/rooted");
    fs::create_symlink("sub", dir / "d/link");
    fs::create_symlink("loop", dir / "d/loop");
    LocalFiles files(dir / "d");
    EXPECT_FALSE(files.size());
    for (const char* name : {"../secret", "sub/../../secret", "/../secret", "sub/up", "absolute", "secret"}) {
        EXPECT_FALSE(files.size_of(name)) << name;
    }
    for (const char* name : {"sub/file", "rooted", "link/file", "link/../link/./file"}) {
        EXPECT_EQ(files.size_of(name), 6U) << name;
    }
    EXPECT_THAT(failure_of([&] { files.size_of("loop"); }), HasSubstr("Too many levels"));
    EXPECT_THAT(failure_of([&] { files.size_of("sub"); }), HasSubstr("no regular file"));
    std::string bytes(6, '\0');
    EXPECT_EQ(::read(files.handle_of("link/file"), bytes.data(), bytes.size()), 6);
    EXPECT_EQ(bytes, "inside");
    EXPECT_THAT(failure_of([&] { files.handle_of("secret"); }), HasSubstr("has no secret"));
}
