#include "cli/archive_kind.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "tests/support/temp_dir.hpp"

namespace locald::cli {
namespace {

std::string member(const std::string& name, const std::string& content) {
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    char size[12];
    std::snprintf(size, sizeof size, "%011zo", content.size());
    header.replace(124, 11, size);
    return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}

oci::ImageKind kind_of(const std::string& tar) {
    const testing::TempDir dir;
    std::ofstream(dir / "tar", std::ios::binary) << tar;
    return archive_kind(dir / "tar");
}

TEST(ArchiveKind, GoesByTheNamesOfTheMembers) {
    const std::string blob = member("blobs/sha256/x", std::string(1300, 'b'));
    EXPECT_EQ(kind_of(blob + member("oci-layout", "{}")), oci::ImageKind::oci_layout);
    EXPECT_EQ(kind_of(member("./oci-layout", "{}") + blob), oci::ImageKind::oci_layout);
    EXPECT_EQ(kind_of(blob + member("manifest.json", "[]")), oci::ImageKind::docker_archive);
    EXPECT_EQ(kind_of(member("oci-layout", "{}") + member("manifest.json", "[]")), oci::ImageKind::docker_archive);
}

TEST(ArchiveKind, LeavesTheRestToTheReader) {
    EXPECT_EQ(kind_of(""), oci::ImageKind::docker_archive);
    EXPECT_EQ(kind_of("short"), oci::ImageKind::docker_archive);
    EXPECT_EQ(kind_of(std::string(5000, '\xFF')), oci::ImageKind::docker_archive);
    EXPECT_EQ(archive_kind("/nonexistent"), oci::ImageKind::docker_archive);
}

}  // namespace
}  // namespace locald::cli
