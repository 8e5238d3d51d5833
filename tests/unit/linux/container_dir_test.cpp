#include "backends/linux/container_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;

TEST(ContainerDirs, RefusesAnIdThatSomebodyHolds) {
    const locald::testing::TempDir dir;
    const ContainerDirs dirs(dir.path());
    const auto lock = dirs.claim("web");
    try {
        dirs.claim("web");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::exists);
        EXPECT_STREQ(
            e.what(),
            "create web: container with given ID already exists; choose another --name, or wait until it has ended");
    }
}

TEST(ContainerDirs, GivesAnIdOutAgainAfterForget) {
    const locald::testing::TempDir dir;
    const ContainerDirs dirs(dir.path());
    {
        const auto lock = dirs.claim("web");
        dirs.forget("web");
    }
    EXPECT_NO_THROW(dirs.claim("web"));
}

TEST(ContainerDirs, SweepsWhatADeadOwnerLeftAndNothingElse) {
    const locald::testing::TempDir dir;
    const ContainerDirs dirs(dir.path());
    const auto held = dirs.claim("alive");
    std::filesystem::create_directory(dirs.path_of("alive"));
    std::filesystem::create_directory(dirs.path_of("dead"));
    std::vector<std::string> removed;
    dirs.sweep([&](const std::string& id) {
        removed.push_back(id);
        std::filesystem::remove_all(dirs.path_of(id));
    });
    EXPECT_EQ(removed, std::vector<std::string>{"dead"});
    EXPECT_TRUE(std::filesystem::exists(dirs.path_of("alive")));
}

TEST(ContainerDirs, RefusesAnIdThatIsAPath) {
    const locald::testing::TempDir dir;
    const ContainerDirs dirs(dir.path());
    EXPECT_THROW(dirs.path_of("../x"), Error);
    EXPECT_THROW(dirs.claim(".."), Error);
}

TEST(ContainerId, IsMadeOf32HexDigitsAndDiffersEachTime) {
    const std::string id = make_container_id();
    EXPECT_TRUE(is_container_id(id));
    EXPECT_EQ(id.size(), 32U);
    EXPECT_NE(id, make_container_id());
}
