#include "core/oci/reference.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.hpp"

namespace locald::oci {
namespace {

const std::string hex64(64, 'a');
const std::string digest = "sha256:" + hex64;

struct Good {
    std::string text, long_form;
};
class GoodReference : public ::testing::TestWithParam<Good> {};

TEST_P(GoodReference, HasItsLongForm) {
    const auto reference = parse_reference(GetParam().text);
    EXPECT_EQ(reference.str(), GetParam().long_form);
    EXPECT_EQ(parse_reference(reference.str()), reference) << "the long form is a reference to the same";
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoodReference,
    ::testing::Values(
        Good{"alpine", "docker.io/library/alpine:latest"}, Good{"alpine:3.19", "docker.io/library/alpine:3.19"},
        Good{"user/app", "docker.io/user/app:latest"}, Good{"a/b/c:t", "docker.io/a/b/c:t"},
        Good{"docker.io/alpine", "docker.io/library/alpine:latest"},
        Good{"index.docker.io/alpine:1", "docker.io/library/alpine:1"},
        Good{"docker.io/user/app", "docker.io/user/app:latest"}, Good{"localhost/app", "localhost/app:latest"},
        Good{"localhost:5000/app:v1", "localhost:5000/app:v1"}, Good{"ghcr.io/owner/app", "ghcr.io/owner/app:latest"},
        Good{"127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"}, Good{"[::1]:5000/x/y", "[::1]:5000/x/y:latest"},
        Good{"[2001:db8::1]/x", "[2001:db8::1]/x:latest"}, Good{"REGISTRY/x", "REGISTRY/x:latest"},
        Good{"host:65535/x", "host:65535/x:latest"},
        Good{"a__b/c-d/e---f/g.h/i_j", "docker.io/a__b/c-d/e---f/g.h/i_j:latest"},
        Good{"alpine@" + digest, "docker.io/library/alpine@" + digest},
        Good{"alpine:3@" + digest, "docker.io/library/alpine:3@" + digest},
        Good{"host:5000/x@" + digest, "host:5000/x@" + digest}, Good{"x:_", "docker.io/library/x:_"},
        Good{"x:" + std::string(128, 'T'), "docker.io/library/x:" + std::string(128, 'T')},
        Good{"x/" + hex64, "docker.io/x/" + hex64 + ":latest"}, Good{"oci", "docker.io/library/oci:latest"}));

struct Bad {
    std::string text, said;
};
class BadReference : public ::testing::TestWithParam<Bad> {};

TEST_P(BadReference, IsRefusedByItsPart) {
    try {
        parse_reference(GetParam().text);
        FAIL() << "accepted";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        EXPECT_NE(std::string(e.what()).find(GetParam().said), std::string::npos) << e.what();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadReference,
    ::testing::Values(
        Bad{"", "is empty"}, Bad{":tag", "the repository is missing"}, Bad{"x:", "the tag"}, Bad{"x:-a", "the tag"},
        Bad{"x:.a", "the tag"}, Bad{"x:a b", "the tag"}, Bad{"x:" + std::string(129, 't'), "the tag"},
        Bad{"Alpine", "lower case"}, Bad{"a/B", "lower case"}, Bad{"a//b", "empty part"}, Bad{"/a", "empty part"},
        Bad{"a/", "empty part"}, Bad{"host.io/", "the repository is missing"}, Bad{"-a", "not letters and digits"},
        Bad{"a-", "not letters and digits"}, Bad{"a..b/c/d/..", "the registry"}, Bad{"x/a..b", "not letters"},
        Bad{"x/..", "not letters"}, Bad{"../x", "the registry"}, Bad{"x/a___b", "not letters"},
        Bad{"x/a._b", "not letters"}, Bad{"a b", "not letters"}, Bad{"a\nb", "not letters"},
        Bad{std::string("a\0b", 3), "not letters"}, Bad{"\xC3\xA4", "not letters"}, Bad{"host:0/x", "the registry"},
        Bad{"host:65536/x", "the registry"}, Bad{"host:/x", "the registry"}, Bad{"host:5x/x", "the registry"},
        Bad{"-h.io/x", "the registry"}, Bad{"h..io/x", "the registry"}, Bad{"user:pw@host.io/x", "digest"},
        Bad{"[::1/x", "the registry"}, Bad{"[::1%25lo]/x", "the registry"}, Bad{"[]:5/x", "the registry"},
        Bad{"[::1]x/y", "the registry"}, Bad{hex64, "image id"}, Bad{"x@", "digest"}, Bad{"x@sha256:abc", "digest"},
        Bad{"x@sha512:" + hex64, "digest"}, Bad{"x@sha256:" + std::string(64, 'A'), "digest"},
        Bad{"x@" + digest + "@" + digest, "digest"}, Bad{"@" + digest, "the repository is missing"},
        Bad{"https://ghcr.io/a", "leave out \"https://\""}, Bad{"docker://alpine", "leave out \"docker://\""},
        Bad{"h.io/" + std::string(251, 'a'), "longer than 255"}));

TEST(ParseReference, TakesANameOf255Characters) { EXPECT_NO_THROW(parse_reference("h.io/" + std::string(250, 'a'))); }

TEST(ParseReference, HasNoTagWhenOnlyADigestWasGiven) {
    const auto reference = parse_reference("alpine@" + digest);
    EXPECT_EQ(reference.tag, "");
    EXPECT_EQ(reference.digest.str(), digest);
}

struct Name {
    std::string text;
    ImageKind kind;
    std::string path, selector;
};
class GoodImageName : public ::testing::TestWithParam<Name> {};

TEST_P(GoodImageName, IsTakenApart) {
    const auto name = parse_image_name(GetParam().text);
    EXPECT_EQ(name.kind, GetParam().kind);
    EXPECT_EQ(name.path, GetParam().path);
    EXPECT_EQ(name.selector, GetParam().selector);
    EXPECT_EQ(name.text, GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoodImageName,
    ::testing::Values(Name{"locald/hello", ImageKind::embedded, "", ""},
                      Name{"locald/hello:latest", ImageKind::embedded, "", ""},
                      Name{"locald/hello:2", ImageKind::registry, "", ""},
                      Name{"docker.io/locald/hello", ImageKind::registry, "", ""},
                      Name{"alpine", ImageKind::registry, "", ""}, Name{"oci", ImageKind::registry, "", ""},
                      Name{"oci:dir", ImageKind::oci_layout, "dir", ""},
                      Name{"oci:/a b/c:tag", ImageKind::oci_layout, "/a b/c", "tag"},
                      Name{"oci:/a:docker.io/x:1", ImageKind::oci_layout, "/a", "docker.io/x:1"},
                      Name{"oci-archive:a.tar:t", ImageKind::oci_layout, "a.tar", "t"},
                      Name{"docker-archive:a.tar", ImageKind::docker_archive, "a.tar", ""},
                      Name{"docker-archive:a.tar:alpine:3", ImageKind::docker_archive, "a.tar", "alpine:3"},
                      Name{"oci:C:\\images\\x:t", ImageKind::oci_layout, "C:\\images\\x", "t"},
                      Name{"oci:c:/x", ImageKind::oci_layout, "c:/x", ""}));

TEST(ParseImageName, RefusesWhatHasNoPath) {
    for (const char* text : {"oci:", "oci::tag", "oci-archive:", "docker-archive:", "oci:dir:"}) {
        EXPECT_THROW(parse_image_name(text), Error) << text;
    }
    EXPECT_THROW(parse_image_name(std::string_view("oci:a\0b", 7)), Error);
}

}  // namespace
}  // namespace locald::oci
