#include "tests/unit/bundle/builder.hpp"

namespace locald::bundle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const AccountFiles accounts{
    "root:x:0:0:root:/root:/bin/sh\n"
    "web:x:1000:100:Web:/srv/web:/bin/sh\n"
    "bare:x:1001:101::relative/home:\n"
    "huge:x:4294967296:0:wraps to root:/:/bin/sh\n"
    "negative:x:-1:0::/:/bin/sh\n"
    "short:x:5\n"
    "2001:x:3001:3001:a name of digits:/:/bin/sh\n",
    "root:x:0:\n"
    "users:x:100:\n"
    "audio:x:29:web,other\n"
    "video:x:44:other,web\n"
    "again:x:29:web\n"
    "almost:x:45:webmaster\n"
    "own:x:100:web\n"};

struct UserCase {
    const char* text;
    std::uint32_t uid, gid;
    std::vector<std::uint32_t> groups;
    const char* home;
};

class UserForms : public ::testing::TestWithParam<UserCase> {};

TEST_P(UserForms, Resolve) {
    const auto user = resolve_user(GetParam().text, accounts);
    EXPECT_EQ(user.uid, GetParam().uid);
    EXPECT_EQ(user.gid, GetParam().gid);
    EXPECT_EQ(user.additional_gids, GetParam().groups);
    EXPECT_EQ(user.home, GetParam().home);
}

INSTANTIATE_TEST_SUITE_P(All, UserForms,
                         ::testing::Values(UserCase{"", 0, 0, {}, "/root"}, UserCase{"root", 0, 0, {}, "/root"},
                                           UserCase{"web", 1000, 100, {29, 44}, "/srv/web"},
                                           UserCase{"1000", 1000, 100, {29, 44}, "/srv/web"},
                                           UserCase{"web:", 1000, 100, {29, 44}, "/srv/web"},
                                           UserCase{"web:audio", 1000, 29, {}, "/srv/web"},
                                           UserCase{"web:7", 1000, 7, {}, "/srv/web"},
                                           UserCase{"1000:audio", 1000, 29, {}, "/srv/web"},
                                           UserCase{"1000:7", 1000, 7, {}, "/srv/web"}, UserCase{"77", 77, 0, {}, "/"},
                                           UserCase{"77:88", 77, 88, {}, "/"}, UserCase{":audio", 0, 29, {}, "/root"},
                                           UserCase{"bare", 1001, 101, {}, "/"}, UserCase{"2001", 2001, 0, {}, "/"},
                                           UserCase{"2147483647", 2147483647, 0, {}, "/"},
                                           UserCase{"0:2147483647", 0, 2147483647, {}, "/root"}));

class WrongUsers : public ::testing::TestWithParam<const char*> {};

TEST_P(WrongUsers, AreRefusedByName) {
    const Error error = error_of([] { resolve_user(GetParam(), accounts); });
    EXPECT_TRUE(error.kind() == ErrorKind::invalid || error.kind() == ErrorKind::not_found);
    EXPECT_THAT(error.message(), HasSubstr(GetParam()));
}

// CVE-2024-40635: ids beyond 2^31-1 wrapped to root, on the command line and in the image's own files.
INSTANTIATE_TEST_SUITE_P(All, WrongUsers,
                         ::testing::Values("2147483648", "4294967295", "4294967296", "18446744073709551616", "-1", "+5",
                                           "web:2147483648", "web:-1", "1000:4294967296", "huge", "negative", "short",
                                           "nobody-here", "web:nogroup", "web:audio:x", "1000x"));

TEST(ResolveUser, NamesTheFileThatLacksTheName) {
    EXPECT_THAT(error_of([] { resolve_user("ghost", accounts); }).message(), HasSubstr("/etc/passwd"));
    EXPECT_THAT(error_of([] { resolve_user("web:ghosts", accounts); }).message(), HasSubstr("/etc/group"));
    EXPECT_EQ(error_of([] { resolve_user("ghost", {}); }).kind(), ErrorKind::not_found);
}

TEST(ResolveUser, WorksWithoutAccountFiles) {
    const auto user = resolve_user("", {});
    EXPECT_EQ(user.uid, 0U);
    EXPECT_EQ(user.home, "/");
    EXPECT_THAT(user.additional_gids, IsEmpty());
}

// CVE-2026-47262: a hostile /etc/group must cost time and memory in proportion to its size at most.
TEST(ResolveUser, RefusesMoreGroupsThanTheKernelTakes) {
    std::string group;
    for (int gid = 1; gid <= 65537; ++gid) group += "g" + std::to_string(gid) + ":x:" + std::to_string(gid) + ":root\n";
    const Error error = error_of([&] { resolve_user("root", {accounts.passwd, group}); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    EXPECT_THAT(error.message(), HasSubstr("65536"));
}

TEST(ResolveUser, PassesOverOneEndlessLine) {
    const std::string line(8U << 20U, ',');
    EXPECT_EQ(resolve_user("web", {accounts.passwd, "x:x:1:" + line + "\n" + accounts.group}).gid, 100U);
}

TEST(ChooseUser, TakesTheOptionBeforeTheImage) {
    Build build;
    build.accounts = accounts;
    build.image->user = "web";
    EXPECT_EQ(build.process().user.uid, 1000U);
    EXPECT_THAT(build.process().user.additional_gids, ElementsAre(29, 44));
    build.options.user = "77:88";
    EXPECT_EQ(build.process().user.uid, 77U);
    EXPECT_EQ(build.process().user.gid, 88U);
}

TEST(ChooseUser, RefusesIdsThatTheNamespaceDoesNotMap) {
    Build build;
    build.options.user = "70000";
    build.mapped();
    const Error error = error_of([&] { build.run(); });
    EXPECT_THAT(error.message(), HasSubstr("uid 70000"));
    EXPECT_THAT(error.remedy(), HasSubstr("/etc/subuid"));
    build.options.user = "0:70000";
    EXPECT_THAT(error_of([&] { build.run(); }).message(), HasSubstr("gid 70000"));
    build.options.user = "65536:65536";
    EXPECT_EQ(build.process().user.uid, 65536U);
}

TEST(ChooseUser, SaysHowToGetMoreIdsThanOne) {
    Build build;
    build.single().options.user = "1";
    build.host.more_ids = "sudo usermod --add-subuids 196608-262143 bob";
    EXPECT_THAT(error_of([&] { build.run(); }).remedy(), HasSubstr(build.host.more_ids + "; or run as"));
}

TEST(ChooseUser, LeavesOutGroupsThatCannotBeSet) {
    Build build;
    build.accounts = accounts;
    build.accounts.group += "far:x:99999:web\n";
    build.options.user = "web";
    const auto bundle = build.mapped().run();
    EXPECT_THAT(bundle.spec.process->user.additional_gids, ElementsAre(29, 44));
    EXPECT_THAT(bundle.warnings, ElementsAre(HasSubstr("1 supplementary group")));
}

TEST(ChooseUser, SetsNoGroupsUnderASingleIdMap) {
    Build build;
    build.accounts.group = "root:x:0:\nbin:x:1:root\n";
    const auto bundle = build.single().run();
    EXPECT_THAT(bundle.spec.process->user.additional_gids, IsEmpty());
    EXPECT_THAT(bundle.warnings, IsEmpty());
}

TEST(KeepId, RunsAsTheCaller) {
    Build build;
    EXPECT_EQ(build.kept().process().user.uid, 1000U);
    EXPECT_EQ(build.process().user.gid, 1000U);
}

TEST(KeepId, GivesWayToAUserThatWasNamed) {
    Build build;
    build.kept().options.user = "0";
    EXPECT_EQ(build.process().user.uid, 0U);
    build.options.user.clear();
    build.image->user = "5";
    EXPECT_EQ(build.process().user.uid, 5U);
}

}  // namespace
}  // namespace locald::bundle
