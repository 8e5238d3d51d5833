#include "cli/flags_mounts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace locald::cli {
namespace {

using bundle::MountOption;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* cwd = "/home/dev/app";

template <class F>
std::string error_of(F&& call) {
    try {
        call();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

TEST(CleanPath, GoesByTheTextAlone) {
    EXPECT_EQ(clean_path("/a//b/./c/../d/", cwd), "/a/b/d");
    EXPECT_EQ(clean_path("../../../../x", cwd), "/x");
    EXPECT_EQ(clean_path(".", cwd), cwd);
    EXPECT_EQ(clean_path("/", cwd), "/");
}

TEST(Volume, BindsAbsoluteAndDottedPaths) {
    const auto plain = parse_volume("/src:/dst", cwd);
    EXPECT_EQ(plain.type, MountOption::Type::bind);
    EXPECT_EQ(plain.source, "/src");
    EXPECT_EQ(plain.destination, "/dst");
    EXPECT_FALSE(plain.read_only);
    EXPECT_THAT(plain.options, IsEmpty());
    EXPECT_EQ(parse_volume("./data:/data", cwd).source, "/home/dev/app/data");
    EXPECT_EQ(parse_volume(".:/app", cwd).source, "/home/dev/app");
    EXPECT_EQ(parse_volume("..:/dev/../app/", cwd).source, "/home/dev");
    EXPECT_EQ(parse_volume("..:/dev/../app/", cwd).destination, "/app");
}

TEST(Volume, TakesDockersOptions) {
    EXPECT_TRUE(parse_volume("/a:/b:ro", cwd).read_only);
    EXPECT_FALSE(parse_volume("/a:/b:rw", cwd).read_only);
    const auto many = parse_volume("/a:/b:z,ro,rslave,cached,noexec,Z", cwd);
    EXPECT_TRUE(many.read_only);
    EXPECT_THAT(many.options, ElementsAre("rslave", "noexec"));
}

TEST(Volume, ExplainsWhatItIsNot) {
    EXPECT_THAT(error_of([] { parse_volume("data:/data", cwd); }), HasSubstr("named volumes"));
    EXPECT_THAT(error_of([] { parse_volume("data:/data", cwd); }), HasSubstr("./data"));
    EXPECT_THAT(error_of([] { parse_volume(".hidden:/data", cwd); }), HasSubstr("named volumes"));
    EXPECT_THAT(error_of([] { parse_volume("/data", cwd); }), HasSubstr("anonymous volumes"));
    EXPECT_THAT(error_of([] { parse_volume("/a:b", cwd); }), HasSubstr("absolute"));
    EXPECT_THAT(error_of([] { parse_volume("/a:ro", cwd); }), HasSubstr("absolute"));
    EXPECT_THAT(error_of([] { parse_volume("/a:/", cwd); }), HasSubstr("root"));
    EXPECT_THAT(error_of([] { parse_volume("/a:/..", cwd); }), HasSubstr("root"));
    EXPECT_THAT(error_of([] { parse_volume("/a:/b:rx", cwd); }), HasSubstr("\"rx\""));
    for (const char* text : {"", ":", ":/b", "/a:", "/a:/b:", "/a:/b:ro:x"}) {
        EXPECT_THAT(error_of([&] { parse_volume(text, cwd); }), HasSubstr("--volume")) << text;
    }
}

TEST(Mount, BindsByWords) {
    const auto mount = parse_mount("type=bind,src=./x,dst=/y,readonly,bind-propagation=rslave,consistency=cached", cwd);
    EXPECT_EQ(mount.type, MountOption::Type::bind);
    EXPECT_EQ(mount.source, "/home/dev/app/x");
    EXPECT_EQ(mount.destination, "/y");
    EXPECT_TRUE(mount.read_only);
    EXPECT_THAT(mount.options, ElementsAre("rslave"));
    EXPECT_FALSE(parse_mount("type=bind,source=/x,target=/y,ro=false", cwd).read_only);
    EXPECT_EQ(parse_mount("type=bind,\"source=/a,b\",destination=/y", cwd).source, "/a,b");
}

TEST(Mount, MakesATmpfs) {
    const auto mount = parse_mount("type=tmpfs,target=/run,tmpfs-size=64m,tmpfs-mode=0700", cwd);
    EXPECT_EQ(mount.type, MountOption::Type::tmpfs);
    EXPECT_EQ(mount.destination, "/run");
    EXPECT_THAT(mount.options, ElementsAre("size=67108864", "mode=0700"));
}

TEST(Mount, IsStrict) {
    for (const char* text :
         {"", "type=bind", "type=bind,src=/a", "type=bind,dst=/b", "src=/a,dst=/b", "type=volume,src=a,dst=/b",
          "type=npipe,src=/a,dst=/b", "type=bind,src=a,dst=/b", "type=bind,src=/a,dst=b", "type=bind,src=/a,dst=/",
          "type=bind,src=/a,dst=/b,ro=perhaps", "type=bind,src=/a,dst=/b,colour=red",
          "type=bind,src=/a,dst=/b,bind-propagation=x", "type=bind,src=/a,dst=/b,tmpfs-size=1m",
          "type=tmpfs,src=/a,dst=/b", "type=tmpfs,dst=/b,bind-propagation=slave", "type=tmpfs,dst=/b,tmpfs-mode=9",
          "type=tmpfs,dst=/b,tmpfs-size=x", "type=bind,\"src=/a,dst=/b"}) {
        EXPECT_THAT(error_of([&] { parse_mount(text, cwd); }), HasSubstr("--mount")) << text;
    }
}

TEST(Tmpfs, KeepsItsOptions) {
    const auto plain = parse_tmpfs("/run");
    EXPECT_EQ(plain.type, MountOption::Type::tmpfs);
    EXPECT_EQ(plain.destination, "/run");
    EXPECT_THAT(plain.options, IsEmpty());
    const auto mount = parse_tmpfs("/run:rw,size=64m,exec,mode=1770,ro");
    EXPECT_THAT(mount.options, ElementsAre("size=64m", "exec", "mode=1770"));
    EXPECT_TRUE(mount.read_only);
    EXPECT_THAT(error_of([] { parse_tmpfs("run"); }), HasSubstr("absolute"));
    EXPECT_THAT(error_of([] { parse_tmpfs("/run:huge"); }), HasSubstr("\"huge\""));
}

TEST(Destinations, AreThereOnlyOnce) {
    std::vector<MountOption> mounts{parse_volume("/a:/x", cwd), parse_tmpfs("/y")};
    check_destinations(mounts);
    mounts.push_back(parse_volume("/b:/y/", cwd));
    EXPECT_THAT(error_of([&] { check_destinations(mounts); }), HasSubstr("/y"));
}

}  // namespace
}  // namespace locald::cli
