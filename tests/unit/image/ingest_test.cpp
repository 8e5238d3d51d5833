// Images that come from another host: what is read of it, and what is left when it stops in the middle.

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <utime.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/image/store_files.hpp"
#include "core/image/transfer.hpp"
#include "tests/support/image_builder.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayoutBuilder;
using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

/// A directory, or one file, that counts what is read of it and is cut after so many bytes.
class Elsewhere final : public FileSource {
public:
    explicit Elsewhere(std::string path) : path_(std::move(path)) {}
    bool is_directory() const noexcept override { return fs::is_directory(path_); }
    std::optional<std::uint64_t> size_of(const std::string& name) override {
        const std::string path = path_of(name);
        if (!fs::is_regular_file(path)) return std::nullopt;
        return fs::file_size(path);
    }
    std::size_t read(const std::string& name, std::uint64_t offset, std::uint64_t end,
                     std::span<std::byte> out) override {
        if (count >= cut_after) throw Error(ErrorKind::lost, "cut");
        std::ifstream file(path_of(name), std::ios::binary);
        file.seekg(static_cast<std::streamoff>(offset));
        const auto most = std::min<std::uint64_t>({out.size(), end - offset, 100'000});
        file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(most));
        count += static_cast<std::uint64_t>(file.gcount());
        return static_cast<std::size_t>(file.gcount());
    }

    std::uint64_t count = 0, cut_after = ~std::uint64_t{0};

private:
    std::string path_of(const std::string& name) const { return name.empty() ? path_ : path_ + "/" + name; }
    std::string path_;
};

class Ingest : public ::testing::Test {
protected:
    static constexpr std::size_t size = 3U << 20U;

    ImageRecord import_from(Elsewhere& files, const CancelToken& cancel = {}) {
        oci::ImageName name;
        name.kind = oci::ImageKind::oci_layout;
        name.path = name.text = "elsewhere";
        return import_image_from(store_, files, name, oci::parse_platform("linux/amd64"), {}, cancel, "a/name:1");
    }
    std::string failure_of(Elsewhere& files) {
        try {
            import_from(files);
        } catch (const Error& e) {
            return e.what();
        }
        return "no failure";
    }
    std::vector<std::string> half() const {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(dir_ / "store/tmp")) names.push_back(entry.path().filename());
        return names;
    }
    std::string begun() const { return dir_ / "store/tmp/ingest-" + sha256_of(layer_).hex(); }

    TempDir dir_;
    Store store_{dir_ / "store"};
    const std::string layer_ = TarBuilder().file("f", std::string(size, 'x')).bytes();
    const std::string layout_ = dir_ / "layout";

    void SetUp() override { LayoutBuilder(layout_).layer(layer_).finish(); }
};

TEST_F(Ingest, ReadsWhatIsMissingAndNothingElse) {
    Elsewhere files(layout_);
    import_from(files);
    EXPECT_GT(files.count, size);
    files.count = 0;
    import_from(files);
    EXPECT_LT(files.count, 100'000U);
    EXPECT_THAT(half(), IsEmpty());
}

TEST_F(Ingest, GoesOnWhereItWasCut) {
    Elsewhere files(layout_);
    files.cut_after = size / 2;
    EXPECT_THAT(failure_of(files), HasSubstr("cut"));
    ASSERT_TRUE(fs::exists(begun()));
    const auto there = fs::file_size(begun());
    EXPECT_GT(there, size / 3);
    const Store opened_again(dir_ / "store");  // sweeps
    files.cut_after = ~std::uint64_t{0};
    files.count = 0;
    const auto image = import_from(files);
    EXPECT_LT(files.count, size - there + 100'000);
    EXPECT_EQ(store_.read_blob(store_.manifest_of(image).layers.at(0).digest), layer_);
    EXPECT_THAT(half(), IsEmpty());
}

TEST_F(Ingest, SendsAgainWhatWasKeptAndIsDamaged) {
    Elsewhere files(layout_);
    std::ofstream(begun()) << "something else";
    const auto image = import_from(files);
    EXPECT_EQ(store_.read_blob(store_.manifest_of(image).layers.at(0).digest), layer_);
}

TEST_F(Ingest, KeepsNoMoreThanABlobHas) {
    Elsewhere files(layout_);
    std::ofstream(begun()) << layer_ << "and more";
    import_from(files);
    EXPECT_EQ(fs::file_size(dir_ / "store/blobs/sha256/" + sha256_of(layer_).hex()), layer_.size());
}

TEST_F(Ingest, CollectsAfterADayWhatNobodyWentOnWith) {
    std::ofstream(begun()) << "x";
    constexpr std::time_t hour = 3600;
    for (const auto& [hours, is_there] : {std::pair{23, true}, {25, false}}) {
        const std::time_t then = std::time(nullptr) - hours * hour;
        const utimbuf times{then, then};
        ASSERT_EQ(::utime(begun().c_str(), &times), 0);
        const Store opened_again(dir_ / "store");
        EXPECT_EQ(fs::exists(begun()), is_there) << hours;
    }
}

TEST_F(Ingest, LeavesNothingOfOneThatIsCancelledOrDamaged) {
    Elsewhere files(layout_);
    const CancelToken cancel;
    cancel.cancel();
    EXPECT_THROW(import_from(files, cancel), Error);
    EXPECT_THAT(half(), IsEmpty());
    std::string other = layer_;
    other[size / 2] = 'y';
    std::ofstream(layout_ + "/blobs/sha256/" + sha256_of(layer_).hex()) << other;
    EXPECT_THAT(failure_of(files), HasSubstr("is damaged"));
    EXPECT_THAT(half(), IsEmpty());
}

TEST_F(Ingest, WaitsForAnotherWriterOfTheSameBlob) {
    const auto digest = sha256_of(layer_);
    auto first = store_.ingest_blob(digest, layer_.size(), {});
    ASSERT_TRUE(first);
    const CancelToken cancel;
    cancel.cancel();
    EXPECT_THROW(store_.ingest_blob(digest, layer_.size(), cancel), Error);
    first->write(std::as_bytes(std::span(layer_)));
    first->commit();
    EXPECT_FALSE(store_.ingest_blob(digest, layer_.size(), {}));
    EXPECT_EQ(fs::status(dir_ / "store/blobs/sha256/" + digest.hex()).permissions(), fs::perms(0444));
}

TEST_F(Ingest, ReadsOfATarItsHeadersAndWhatIsMissing) {
    TarBuilder tar;
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(layout_)) {
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        tar.file(fs::relative(entry.path(), layout_), std::string(std::istreambuf_iterator<char>(file), {}));
    }
    const std::string archive = dir_ / "image.tar";
    std::ofstream(archive, std::ios::binary) << tar.bytes();
    Elsewhere files(archive);
    import_from(files);
    EXPECT_GT(files.count, size);
    files.count = 0;
    import_from(files);
    EXPECT_LT(files.count, 150'000U);
}

}  // namespace
}  // namespace locald::image
