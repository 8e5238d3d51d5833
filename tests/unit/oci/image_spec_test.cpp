#include "core/oci/image_spec.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

#include "core/base/error.hpp"

namespace locald::oci {
namespace {

const std::string digest_a = "sha256:" + std::string(64, 'a');
const std::string digest_b = "sha256:" + std::string(64, 'b');

nlohmann::json parsed(std::string_view text) { return nlohmann::json::parse(text); }

template <class F>
std::string error_of(F&& body) {
    try {
        body();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
    return "no error";
}

std::string descriptor(std::string_view type, const std::string& rest = {}) {
    return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest_a + R"(","size":7)" + rest + "}";
}

std::string manifest_text(const std::string& more = {}) {
    return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)" +
           descriptor(media_type::config) + R"(,"layers":[)" + descriptor(media_type::layer_gzip) + "]" + more + "}";
}

constexpr std::string_view config_text = R"({
  "created": "2015-10-31T22:22:56.015925234Z", "author": "A \u0000 <a@example.com>",
  "architecture": "arm64", "variant": "v8", "os": "linux", "os.version": "1",
  "config": {
    "User": "alice", "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    "Env": ["PATH=/bin", "FOO=oci_is_a"], "Entrypoint": ["/bin/my-app-binary"], "Cmd": ["--foreground"],
    "Volumes": {"/var/job-result-data": {}}, "WorkingDir": "/home/alice",
    "Labels": {"com.example.project": "https://example.com/\u0000"}, "StopSignal": "SIGKILL",
    "ArgsEscaped": true, "Healthcheck": {"Test": ["NONE"]}
  },
  "rootfs": {"type": "layers", "diff_ids": ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]},
  "history": [{"created": "2015-10-31T22:22:54Z", "empty_layer": true}]
})";

TEST(ImageConfigJson, SurvivesARoundTripWithWhatItDoesNotKnow) {
    const auto config = parse_image_config(config_text);
    EXPECT_EQ(config.exposed_ports, (std::vector<std::string>{"53/udp", "8080/tcp"}));
    EXPECT_EQ(config.diff_ids.at(0).str(), digest_a);
    EXPECT_EQ(config.stop_signal, "SIGKILL");
    EXPECT_EQ(parsed(to_json(config)), parsed(config_text));
}

TEST(ImageConfigJson, KeepsUnknownMembersOfTheInnerObjectAlone) {
    constexpr std::string_view text =
        R"({"architecture":"amd64","os":"linux","config":{"OnBuild":[1]},"rootfs":{"type":"layers","diff_ids":[]}})";
    EXPECT_EQ(parsed(to_json(parse_image_config(text))), parsed(text));
}

TEST(ImageConfigJson, TakesNullForAbsent) {
    const auto config = parse_image_config(
        R"({"os":"linux","architecture":"amd64","config":{"Env":null,"Cmd":null,"Volumes":null,"Labels":null},
            "rootfs":{"type":"layers","diff_ids":null}})");
    EXPECT_TRUE(config.cmd.empty());
    EXPECT_TRUE(config.diff_ids.empty());
    EXPECT_EQ(config.unknown, "");
}

TEST(ImageConfigJson, NamesThePlaceOfWhatIsWrong) {
    const auto said = [](const char* text) { return error_of([&] { parse_image_config(text); }); };
    EXPECT_EQ(said("{}"), "rootfs: missing");
    EXPECT_EQ(said("[]"), "document: expected an object, got a list");
    EXPECT_EQ(said(R"({"rootfs":{"type":"tar"}})"), "rootfs.type: expected layers, got \"tar\"");
    EXPECT_EQ(said(R"({"rootfs":{"diff_ids":[]}})"), "rootfs.type: missing");
    EXPECT_EQ(said(R"({"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}})"),
              "rootfs.diff_ids[0]: digest \"sha256:../../x\": expected sha256: and 64 lower case hex digits");
    EXPECT_EQ(said(R"({"rootfs":{"type":"layers"},"config":{"Env":"A=b"}})"),
              "config.Env: expected a list, got \"A=b\"");
    EXPECT_EQ(said(R"({"rootfs":{"type":"layers"},"config":{"Env":["A=\u0000b"]}})"),
              "config.Env[0]: holds a NUL byte");
    EXPECT_EQ(said(R"({"rootfs":{"type":"layers"},"config":{"Volumes":{"/a\u0000":{}}}})"),
              "config.Volumes[\"/a\\u0000\"]: holds a NUL byte");
    EXPECT_EQ(said(R"({"rootfs":{"type":"layers"},"config":{"Labels":{"a":1}}})"),
              "config.Labels.a: expected a string, got 1");
}

TEST(ManifestJson, SurvivesARoundTripWithWhatItDoesNotKnow) {
    const auto text = manifest_text(R"(,"annotations":{"a":"b"},"subject":{"x":1},"artifactType":"t")");
    const auto manifest = parse_manifest(text);
    EXPECT_EQ(manifest.layers.at(0).size, 7U);
    EXPECT_EQ(parsed(to_json(manifest)), parsed(text));
}

TEST(ManifestJson, ReadsDockersSchemaTwo) {
    const auto manifest =
        parse_manifest(R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::docker_manifest) +
                       R"(","config":)" + descriptor(media_type::docker_config) + R"(,"layers":null})");
    EXPECT_EQ(manifest.config.media_type, media_type::docker_config);
    EXPECT_TRUE(manifest.layers.empty());
}

TEST(ManifestJson, NamesThePlaceOfWhatIsWrong) {
    const auto said = [](const std::string& text) { return error_of([&] { parse_manifest(text); }); };
    EXPECT_EQ(said("{}"), "schemaVersion: missing");
    EXPECT_EQ(said(R"({"schemaVersion":1})"), "schemaVersion: expected 2, got 1");
    EXPECT_EQ(said(R"({"schemaVersion":2})"), "config: missing");
    EXPECT_EQ(said(R"({"schemaVersion":2,"config":{"mediaType":"m","digest":")" + digest_a + R"(","size":-1}})"),
              "config.size: expected 0..18446744073709551615, got -1");
    EXPECT_EQ(said(R"({"schemaVersion":2,"config":{"mediaType":"m","size":1}})"), "config.digest: missing");
    EXPECT_NE(said(R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"})").find("mediaType: "),
              std::string::npos);
}

TEST(IndexJson, SurvivesARoundTripWithWhatItDoesNotKnow) {
    const auto text =
        R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" +
        descriptor(media_type::manifest,
                   R"(,"platform":{"architecture":"amd64","os":"windows","os.version":"10.0","variant":"v2"},
                       "annotations":{"org.opencontainers.image.ref.name":"x"},"urls":["https://e.org/a"],
                       "artifactType":"t","data":"AAAA")") +
        R"(],"annotations":{"k":"v"},"x":[1]})";
    EXPECT_EQ(parsed(to_json(parse_index(text))), parsed(text));
}

TEST(DescriptorJson, IsOneObject) {
    Descriptor d;
    d.media_type = media_type::layer;
    d.digest = Digest::parse(digest_b);
    d.size = 18446744073709551615U;
    EXPECT_EQ(to_json(d), R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + digest_b +
                              R"(","size":18446744073709551615})");
}

TEST(DocumentKind, GoesByContent) {
    EXPECT_EQ(document_kind(R"({"manifests":[]})", ""), DocumentKind::index);
    EXPECT_EQ(document_kind(R"({"layers":[],"config":{}})", ""), DocumentKind::manifest);
    EXPECT_EQ(document_kind(R"({"config":{}})", "application/json; charset=utf-8"), DocumentKind::manifest);
}

TEST(DocumentKind, GoesByTheTypeWhenTheContentSaysNothing) {
    EXPECT_EQ(document_kind("{}", media_type::index), DocumentKind::index);
    EXPECT_EQ(document_kind(R"({"mediaType":"application/vnd.docker.distribution.manifest.v2+json"})", ""),
              DocumentKind::manifest);
    EXPECT_THROW(document_kind("{}", ""), Error);
}

TEST(DocumentKind, IgnoresParametersOfTheDeclaredType) {
    EXPECT_EQ(document_kind(manifest_text(), std::string(media_type::manifest) + "; charset=utf-8"),
              DocumentKind::manifest);
}

TEST(DocumentKind, RefusesADocumentThatIsBoth) {
    EXPECT_THROW(document_kind(R"({"manifests":[],"layers":[]})", ""), Error);
    EXPECT_THROW(document_kind(R"({"manifests":[],"config":{}})", media_type::index), Error);
}

TEST(DocumentKind, RefusesAnotherTypeThanDeclared) {
    EXPECT_THROW(document_kind(manifest_text(), media_type::index), Error);
    EXPECT_THROW(document_kind(manifest_text(), media_type::docker_manifest), Error);
    EXPECT_THROW(document_kind(R"({"manifests":[]})", media_type::manifest), Error);
    EXPECT_THROW(document_kind(R"({"layers":[],"mediaType":"application/vnd.oci.image.index.v1+json"})", ""), Error);
    EXPECT_THROW(document_kind(R"({"layers":[],"mediaType":"text/html"})", ""), Error);
    EXPECT_NE(error_of([] {
                  document_kind("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws");
              }).find("neither an image index nor an image manifest"),
              std::string::npos);
}

}  // namespace
}  // namespace locald::oci
