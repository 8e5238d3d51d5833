// CVE-2021-43784: a length that did not fit its 16 bits let the rest of a text be read as mappings. Here everything
// that is long reaches its place whole, or is refused.

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;

using Cve202143784 = CveTest;

constexpr std::size_t beyond_16_bits = 70000;

TEST_F(Cve202143784, LongArgumentsAndEnvironmentsArriveWhole) {
    const std::string text(beyond_16_bits, 'x');
    Json json = config("echo ${#A} ${#1}");
    json["process"]["env"].push_back("A=" + text);
    json["process"]["args"].push_back("name");
    json["process"]["args"].push_back(text + "y");
    EXPECT_EQ(run(json).out, "70000 70001\n");
}

TEST_F(Cve202143784, LongAnnotationsAreInTheStateAndInWhatHooksRead) {
    Json json = config(stay());
    const std::string text(3 * beyond_16_bits, 'x');
    json["annotations"] = {{"long", text}, {text, "name"}};
    json["hooks"]["prestart"] = Json::array({{{"path", "/bin/sh"}, {"args", {"sh", "-c", "cat >" + (dir_ / "seen")}}}});
    start(json);
    const Json state = Json::parse(call({"state", id_}).out);
    EXPECT_EQ(state["annotations"], json["annotations"]);
    EXPECT_EQ(Json::parse(text_of(dir_ / "seen"))["annotations"], json["annotations"]);
}

TEST_F(Cve202143784, MoreMappingsThanTheKernelTakesAreRefusedAndNoneIsForged) {
    Json json = config("cat /proc/self/uid_map");
    json["linux"]["namespaces"].push_back({{"type", "user"}});
    Json maps = Json::array();
    for (std::uint32_t i = 0; i < 5000; ++i)
        maps.push_back({{"containerID", i}, {"hostID", 100000 + 2 * i}, {"size", 1}});
    json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = maps;
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("Mappings"));
    // As many as fit into a page are there exactly as written.
    maps.erase(maps.begin() + 100, maps.end());
    json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = maps;
    ASSERT_EQ(::chown(rootfs().c_str(), 100000, 100000), 0);
    const auto fits = run(json);
    EXPECT_EQ(std::count(fits.out.begin(), fits.out.end(), '\n'), 100) << fits.err;
    EXPECT_THAT(fits.out, HasSubstr("99     100198          1"));
}

TEST_F(Cve202143784, LongPathsAndNamesAreRefused) {
    const std::string text(beyond_16_bits, 'x');
    const auto refused = [&](const std::function<void(Json&)>& change) {
        Json json = config("echo ran");
        change(json);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << result.out;
        EXPECT_EQ(result.out, "");
        EXPECT_LT(result.err.size(), 4 * beyond_16_bits);
    };
    refused([&](Json& json) { json["hostname"] = text; });
    refused([&](Json& json) { json["root"]["path"] = text; });
    refused([&](Json& json) { json["process"]["cwd"] = "/" + text; });
    refused([&](Json& json) {
        json["mounts"].push_back({{"destination", "/" + text}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    });
    refused([&](Json& json) { json["mounts"].push_back(bind_of("/bound", "/" + text)); });
    refused([&](Json& json) { json["linux"]["cgroupsPath"] = "/" + text; });
    refused([&](Json& json) { json["linux"]["sysctl"] = {{"net.ipv4." + text, "1"}}; });
}

}  // namespace
}  // namespace locald::testing
