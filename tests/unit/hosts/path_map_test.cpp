#include "backends/hosts/path_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using runtime::SharedTree;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

SharedTree tree(const std::string& here, const std::string& there) {
    SharedTree tree;
    tree.here = here;
    tree.there = there;
    return tree;
}

std::string as_it_is(const std::string& path) { return path; }

std::string error_of(const PathMap& map, const std::string& path) {
    try {
        return "no error: " + map.map(path).path;
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
}

}  // namespace

TEST(PathMap, TakesTheLongestTreeAtTheEndsOfNames) {
    const PathMap map({tree("/home", "/mnt/h"), tree("/home/me", "/m"), tree("/srv", "/")}, PathCase::sensitive,
                      as_it_is);
    EXPECT_EQ(map.map("/home/you/x").path, "/mnt/h/you/x");
    EXPECT_EQ(map.map("/home/me/x").path, "/m/x");
    EXPECT_EQ(map.map("/home/me").path, "/m");
    EXPECT_EQ(map.map("/home/me/").path, "/m");
    EXPECT_EQ(map.map("/home/meg").path, "/mnt/h/meg");
    EXPECT_EQ(map.map("/home/you/../me/x").path, "/m/x");
    EXPECT_EQ(map.map("/srv").path, "/");
    EXPECT_EQ(map.map("/srv/a").path, "/a");
    EXPECT_EQ(map.map("/home/me/x").tree->here, "/home/me");
    EXPECT_EQ(PathMap({tree("/", "/all")}, PathCase::sensitive, as_it_is).map("/etc").path, "/all/etc");
}

TEST(PathMap, NamesWhatIsSharedAndHowToShareMore) {
    const PathMap map({tree("/home/me", "/m")}, PathCase::sensitive, as_it_is);
    EXPECT_THAT(error_of(map, "/home/meg"),
                AllOf(HasSubstr("/home/meg"), HasSubstr("/home/me (there /m)"), HasSubstr("--map /home/meg=")));
    EXPECT_THAT(error_of(map, "/HOME/me"), HasSubstr("not shared"));
    EXPECT_THAT(error_of(PathMap({}, PathCase::sensitive, as_it_is), "/x"), HasSubstr("nothing is"));
}

TEST(PathMap, FoldsCaseWhereTheFileSystemDoes) {
    const PathMap map({tree("/Users/Me", "/m")}, PathCase::insensitive, as_it_is);
    EXPECT_EQ(map.map("/users/ME/Src").path, "/m/Src");
    EXPECT_THAT(error_of(map, "/users/meg"), HasSubstr("not shared"));
    EXPECT_THROW(PathMap({tree("/a", "/x"), tree("/A", "/y")}, PathCase::insensitive, as_it_is), Error);
}

TEST(PathMap, FollowsLinksHereFirst) {
    // As macOS has /tmp.
    const auto resolve = [](const std::string& path) {
        static const std::map<std::string, std::string> links{{"/tmp", "/private/tmp"},
                                                              {"/tmp/x", "/private/tmp/x"},
                                                              {"/home/me/out", "/etc"},
                                                              {"/home/me/in", "/home/me/x"}};
        const auto found = links.find(path);
        return found != links.end() ? found->second : path;
    };
    const PathMap map({tree("/private/tmp", "/t"), tree("/home/me", "/m")}, PathCase::sensitive, resolve);
    EXPECT_EQ(map.map("/tmp/x").path, "/t/x");
    EXPECT_EQ(map.map("/home/me/in").path, "/m/x");
    EXPECT_THAT(error_of(map, "/home/me/out"),
                AllOf(HasSubstr("leads out of the shared tree /home/me"), HasSubstr("to /etc")));
    // A tree may be named by a link itself.
    const PathMap linked({tree("/tmp", "/t")}, PathCase::sensitive, resolve);
    EXPECT_EQ(linked.map("/private/tmp/y").path, "/t/y");
    EXPECT_EQ(linked.map("/tmp/x").path, "/t/x");
    EXPECT_THROW(PathMap({tree("/tmp", "/t"), tree("/private/tmp", "/u")}, PathCase::sensitive, resolve), Error);
}

TEST(PathMap, ResolvesWhatThereIs) {
    const locald::testing::TempDir dir;
    std::filesystem::create_directory(dir / "real");
    std::filesystem::create_directory_symlink(dir / "real", dir / "link");
    const auto real = std::filesystem::canonical(dir.path()).string();
    EXPECT_EQ(resolve_links(dir / "link/none/x"), real + "/real/none/x");
    EXPECT_EQ(resolve_links(dir / "link"), real + "/real");
    std::filesystem::create_symlink("loop", dir / "loop");
    EXPECT_THROW(resolve_links(dir / "loop/x"), Error);
}

TEST(SharedTree, HasOneSpelling) {
    for (const auto* text : {"/a=/b", "/a=/b:ro", "/a=/b:mount", "/a=/b:ro:mount"})
        EXPECT_EQ(to_string(parse_shared_tree(text)), text);
    EXPECT_EQ(to_string(parse_shared_tree("/a/=/b/../c:mount:ro")), "/a=/c:ro:mount");
    EXPECT_FALSE(parse_shared_tree("/a=/b:rw").read_only);
    for (const auto* bad : {"", "/a", "a=/b", "/a=b", "=/b", "/a="}) EXPECT_THROW(parse_shared_tree(bad), Error) << bad;
}
