#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/oci/image_spec.hpp"

namespace locald::oci {
namespace {

Descriptor entry(const std::string& platform, std::string_view type = media_type::manifest) {
    Descriptor d;
    d.media_type = type;
    d.digest = Digest::parse("sha256:" + std::string(64, 'a'));
    if (!platform.empty()) {
        const auto first = platform.find('/');
        const auto second = platform.find('/', first + 1);
        d.platform = Platform{platform.substr(0, first), platform.substr(first + 1, second - first - 1),
                              second == std::string::npos ? "" : platform.substr(second + 1)};
    }
    return d;
}

Index index_of(const std::vector<std::string>& platforms) {
    Index index;
    for (const auto& platform : platforms) index.manifests.push_back(entry(platform));
    return index;
}

struct Choice {
    std::string wanted;
    std::vector<std::string> offered;
    int chosen;  // -1: none fits
};
class PlatformChoice : public ::testing::TestWithParam<Choice> {};

TEST_P(PlatformChoice, FollowsTheOrderOfWishes) {
    const auto index = index_of(GetParam().offered);
    const auto wanted = parse_platform(GetParam().wanted);
    if (GetParam().chosen < 0) {
        EXPECT_THROW(select_platform(index, wanted), Error);
    } else {
        EXPECT_EQ(&select_platform(index, wanted) - index.manifests.data(), GetParam().chosen);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, PlatformChoice,
    ::testing::Values(
        Choice{"linux/amd64", {"linux/arm64", "linux/amd64"}, 1},
        Choice{"linux/amd64", {"linux/amd64", "linux/amd64"}, 0},
        Choice{"linux/amd64", {"windows/amd64", "linux/amd64"}, 1},
        Choice{"linux/amd64", {"linux/amd64/v2", "linux/amd64/v1"}, 1}, Choice{"linux/amd64", {"linux/amd64/v3"}, -1},
        Choice{"linux/amd64", {"linux/386"}, 0}, Choice{"linux/amd64", {"linux/386", "linux/x86_64"}, 1},
        Choice{"linux/amd64/v3", {"linux/amd64", "linux/amd64/v4", "linux/amd64/v2"}, 2},
        Choice{"linux/amd64/v4", {"linux/amd64", "linux/amd64/v4"}, 1},
        Choice{"linux/arm64", {"linux/arm/v7", "linux/arm64/v8"}, 1}, Choice{"linux/arm64/v8", {"linux/arm64"}, 0},
        Choice{"linux/aarch64", {"linux/arm64/v8"}, 0}, Choice{"linux/arm64", {"linux/arm/v5", "linux/arm/v7"}, 1},
        Choice{"linux/arm64", {"linux/arm64/v9"}, -1},
        Choice{"linux/arm64/v9", {"linux/arm64/v8", "linux/arm64/v8.5", "linux/arm64/v8.6"}, 1},
        Choice{"linux/arm64/v9.2", {"linux/arm64/v8.7", "linux/arm64/v9.1", "linux/arm64/v9"}, 1},
        Choice{"linux/arm64/v8.2", {"linux/arm64/v8.3", "linux/arm64", "linux/arm64/v8.1"}, 2},
        Choice{"linux/arm", {"linux/arm/v6", "linux/arm/v7", "linux/arm/v5"}, 1},
        Choice{"linux/arm/v6", {"linux/arm/v7", "linux/arm/v5", "linux/arm/v6"}, 2},
        Choice{"linux/arm/v6", {"linux/arm/v7", "linux/arm/v5"}, 1}, Choice{"linux/arm/v5", {"linux/arm/v6"}, -1},
        Choice{"linux/armhf", {"linux/arm/v6", "linux/arm"}, 1}, Choice{"linux/386", {"linux/amd64"}, -1},
        Choice{"linux/riscv64", {"linux/riscv64"}, 0}, Choice{"linux/s390x", {}, -1},
        Choice{"linux/ppc64le/power9", {"linux/ppc64le"}, 0}, Choice{"linux/amd64", {"", "linux/amd64"}, 1},
        Choice{"linux/amd64", {"linux/arm64", ""}, 1}, Choice{"linux/amd64", {"unknown/unknown"}, -1},
        Choice{"linux/amd64", {"unknown/unknown", "linux/amd64", "unknown/unknown"}, 1},
        Choice{"linux/arm64/v99999999999", {"linux/arm64"}, 0}, Choice{"linux/arm64/vx.y", {"linux/arm64"}, 0}));

TEST(SelectPlatform, ListsWhatIsThere) {
    try {
        select_platform(index_of({"linux/arm/v7", "unknown/unknown", "linux/amd64", "linux/amd64"}),
                        parse_platform("linux/s390x"));
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::not_found);
        EXPECT_STREQ(e.what(), "no image for linux/s390x; there is linux/amd64, linux/arm/v7");
    }
}

TEST(SelectPlatform, SkipsWhatIsNoImage) {
    Index index;
    index.manifests.push_back(entry("linux/amd64", "application/vnd.example.thing"));
    index.manifests.push_back(entry("linux/amd64"));
    index.manifests.back().annotations["vnd.docker.reference.type"] = "attestation-manifest";
    index.manifests.push_back(entry(""));
    index.manifests.back().artifact_type = "application/vnd.example.sbom";
    EXPECT_THROW(select_platform(index, parse_platform("linux/amd64")), Error);
    index.manifests.push_back(entry("linux/amd64", media_type::docker_manifest));
    EXPECT_EQ(&select_platform(index, parse_platform("linux/amd64")), &index.manifests.back());
}

TEST(ParsePlatform, TakesUsualOtherNames) {
    EXPECT_EQ(parse_platform("linux/x86_64").str(), "linux/amd64");
    EXPECT_EQ(parse_platform("Linux/AArch64").str(), "linux/arm64");
    EXPECT_EQ(parse_platform("linux/armhf").str(), "linux/arm/v7");
    EXPECT_EQ(parse_platform("linux/arm/v6").str(), "linux/arm/v6");
    EXPECT_EQ(parse_platform("linux/arm64/v8").str(), "linux/arm64/v8");
    EXPECT_EQ(parse_platform("macos/arm64").str(), "darwin/arm64");
}

TEST(ParsePlatform, RefusesWhatIsNoPlatform) {
    for (const char* text :
         {"", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux amd64", "linux//v1", "l/\xC3\xA4"}) {
        EXPECT_THROW(parse_platform(text), Error) << text;
    }
}

TEST(HostPlatform, IsALinuxPlatform) {
    EXPECT_EQ(host_platform().os, "linux");
    EXPECT_EQ(parse_platform(host_platform().str()), host_platform());
}

}  // namespace
}  // namespace locald::oci
