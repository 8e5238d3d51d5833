#include "tests/unit/registry/real_registry.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/base/sha256.hpp"
#include "core/oci/image_spec.hpp"
#include "core/registry/client.hpp"
#include "tests/support/require.hpp"
#include "tests/unit/registry/test_server.hpp"

namespace locald::registry {
namespace {

using namespace testing;

// `tester:secret`, made with crypt(3), bcrypt
constexpr const char* htpasswd = "tester:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

oci::Descriptor blob_descriptor(const std::string& layout, const std::string& tag) {
    for (const auto& entry : oci::parse_index(read_file(layout + "/image/index.json")).manifests) {
        const auto name = entry.annotations.find("org.opencontainers.image.ref.name");
        if (name != entry.annotations.end() && name->second == tag) return entry;
    }
    throw Error(ErrorKind::not_found, tag);
}

/// A layout with the tags `amd64`, `arm64` (by umoci, busybox inside) and `multi`, an index of both.
void make_layout(const std::string& home) {
    const std::string image = home + "/image";
    run({"umoci", "init", "--layout", image}, home);
    for (const char* tag : {"amd64", "arm64"}) {
        const std::string name = image + ":" + tag;
        run({"umoci", "new", "--image", name}, home);
        run({"umoci", "insert", "--rootless", "--image", name, find_program("busybox"), "/bin/busybox"}, home);
        run({"umoci", "config", "--image", name, "--architecture", tag, "--config.cmd", "/bin/busybox"}, home);
    }
    oci::Index multi;
    multi.media_type = oci::media_type::index;
    for (const char* tag : {"amd64", "arm64"}) {
        oci::Descriptor entry = blob_descriptor(home, tag);
        entry.annotations.clear();
        entry.platform = oci::Platform{"linux", tag, ""};
        multi.manifests.push_back(entry);
    }
    const std::string text = oci::to_json(multi);
    const oci::Descriptor self = descriptor_of(text, oci::media_type::index);
    write_file(image + "/blobs/sha256/" + self.digest.hex(), text);
    oci::Index top = oci::parse_index(read_file(image + "/index.json"));
    top.manifests.push_back(self);
    top.manifests.back().annotations["org.opencontainers.image.ref.name"] = "multi";
    write_file(image + "/index.json", oci::to_json(top));
}

/// All tests share one registry and one layout: they take a second to make.
class RealRegistryTest : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        if (!have_real_registry()) return;
        layout_ = new locald::testing::TempDir;
        make_layout(layout_->path());
        registry_ = new RealRegistry;
        registry_->push(layout_->path(), "multi");
    }
    static void TearDownTestSuite() {
        delete registry_;
        delete layout_;
    }
    void SetUp() override {
        LOCALD_REQUIRE(have_real_registry(), "docker-registry, skopeo, umoci and busybox");
        write_file(scratch_ / "auth.json", "{}");
    }
    ClientOptions options() const { return quiet_options(scratch_ / "auth.json"); }

    static oci::Reference reference(const RealRegistry& registry, const std::string& tag) {
        return oci::parse_reference(registry.authority() + "/test/image:" + tag);
    }

    static locald::testing::TempDir* layout_;
    static RealRegistry* registry_;
    locald::testing::TempDir scratch_;
};
locald::testing::TempDir* RealRegistryTest::layout_ = nullptr;
RealRegistry* RealRegistryTest::registry_ = nullptr;

TEST_F(RealRegistryTest, PullsEveryBlobOfThePlatformItIsAskedFor) {
    Client client(options());
    const CancelToken cancel;
    for (const char* architecture : {"amd64", "arm64"}) {
        const auto wanted = reference(*registry_, "multi");
        const auto resolved = client.resolve(wanted, {"linux", architecture, ""}, cancel);
        EXPECT_EQ(resolved.descriptor.digest, blob_descriptor(layout_->path(), architecture).digest);
        EXPECT_EQ(resolved.descriptor.digest, sha256_of(resolved.json));
        EXPECT_EQ(resolved.descriptor.size, resolved.json.size());
        EXPECT_EQ(resolved.descriptor.media_type, oci::media_type::manifest);
        EXPECT_EQ(resolved.index, blob_descriptor(layout_->path(), "multi").digest);

        Kept config;
        client.fetch_blob(wanted, resolved.manifest.config, config, {}, cancel);
        EXPECT_EQ(oci::parse_image_config(config.text).architecture, architecture);
        ASSERT_EQ(resolved.manifest.layers.size(), 1U);
        Kept layer;
        Progress last;
        client.fetch_blob(
            wanted, resolved.manifest.layers[0], layer, [&](const Progress& p) { last = p; }, cancel);
        EXPECT_EQ(layer.text,
                  read_file(layout_->path() + "/image/blobs/sha256/" + resolved.manifest.layers[0].digest.hex()));
        EXPECT_TRUE(last.finished);
        EXPECT_EQ(last.done, layer.text.size());
        EXPECT_EQ(last.total, layer.text.size());
    }
}

TEST_F(RealRegistryTest, ResolvesADigestWithoutATag) {
    Client client(options());
    const auto digest = blob_descriptor(layout_->path(), "arm64").digest;
    const auto wanted = oci::parse_reference(registry_->authority() + "/test/image@" + digest.str());
    const auto resolved = client.resolve(wanted, amd64, CancelToken());
    EXPECT_EQ(resolved.descriptor.digest, digest);
    EXPECT_TRUE(resolved.index.empty());
}

TEST_F(RealRegistryTest, NamesReferenceAndPlatformOfAnImageThatIsNotThere) {
    Client client(options());
    const auto missing = error_of([&] { client.resolve(reference(*registry_, "nosuch"), amd64, CancelToken()); });
    EXPECT_EQ(missing.kind(), ErrorKind::not_found) << missing.what();
    EXPECT_NE(missing.message().find("test/image:nosuch for linux/amd64"), std::string::npos) << missing.what();

    const auto platform = error_of([&] {
        client.resolve(reference(*registry_, "multi"), {"linux", "s390x", ""}, CancelToken());
    });
    EXPECT_EQ(platform.kind(), ErrorKind::not_found) << platform.what();
    EXPECT_NE(platform.message().find("linux/arm64"), std::string::npos) << platform.what();
}

TEST_F(RealRegistryTest, FetchesBlobsInParallelOverOneClient) {
    Client client(options());
    const CancelToken cancel;
    const auto wanted = reference(*registry_, "multi");
    const auto resolved = client.resolve(wanted, amd64, cancel);
    const oci::Descriptor layer = resolved.manifest.layers.at(0);
    std::vector<Kept> kept(6);
    std::vector<std::thread> threads;
    for (Kept& one : kept) threads.emplace_back([&] { client.fetch_blob(wanted, layer, one, {}, cancel); });
    for (std::thread& thread : threads) thread.join();
    for (const Kept& one : kept) EXPECT_EQ(sha256_of(one.text), layer.digest);
}

TEST_F(RealRegistryTest, LogsInWithTheCredentialsOfTheAuthFile) {
    write_file(scratch_ / "htpasswd", htpasswd);
    RealRegistry locked("auth: {htpasswd: {realm: test, path: " + (scratch_ / "htpasswd") + "}}\n");
    locked.push(layout_->path(), "amd64", {"--dest-creds=tester:secret"});

    const auto wanted = reference(locked, "amd64");
    const auto anonymous = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(anonymous.kind(), ErrorKind::denied) << anonymous.what();
    EXPECT_NE(anonymous.remedy().find("docker login " + locked.authority()), std::string::npos) << anonymous.what();
    EXPECT_NE(anonymous.remedy().find(scratch_ / "auth.json"), std::string::npos) << anonymous.what();

    write_file(scratch_ / "auth.json", R"({"auths":{")" + locked.authority() + R"(":{"auth":"dGVzdGVyOndyb25n"}}})");
    const auto wrong = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(wrong.kind(), ErrorKind::denied) << wrong.what();
    EXPECT_EQ(wrong.message().find("wrong"), std::string::npos) << "the password is shown: " << wrong.what();

    write_file(scratch_ / "auth.json",
               R"({"auths":{")" + locked.authority() + R"(":{"auth":"dGVzdGVyOnNlY3JldA=="}}})");
    Client client(options());
    const auto resolved = client.resolve(wanted, amd64, CancelToken());
    Kept layer;
    client.fetch_blob(wanted, resolved.manifest.layers.at(0), layer, {}, CancelToken());
    EXPECT_EQ(sha256_of(layer.text), resolved.manifest.layers.at(0).digest);
}

/// A certificate for `subject` (`IP:127.0.0.1`, `DNS:…`), signed by an authority of its own, in `dir`.
void make_certificate(const std::string& dir, const std::string& subject) {
    run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", dir + "/ca.key", "-out",
         dir + "/ca.pem", "-days", "2", "-subj", "/CN=test authority"},
        dir);
    run({"openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", dir + "/tls.key", "-out", dir + "/tls.csr",
         "-subj", "/CN=registry"},
        dir);
    write_file(dir + "/ext", "subjectAltName=" + subject + "\n");
    run({"openssl", "x509", "-req", "-in", dir + "/tls.csr", "-CA", dir + "/ca.pem", "-CAkey", dir + "/ca.key",
         "-CAcreateserial", "-out", dir + "/tls.pem", "-days", "2", "-extfile", dir + "/ext"},
        dir);
}

std::string tls_lines(const std::string& dir) {
    return "  tls: {certificate: " + dir + "/tls.pem, key: " + dir + "/tls.key}\n";
}

TEST_F(RealRegistryTest, SpeaksTlsToWhomTheCaFileVouchesFor) {
    LOCALD_REQUIRE(!find_program("openssl").empty(), "openssl");
    make_certificate(scratch_.path(), "IP:127.0.0.1");
    RealRegistry secure({}, tls_lines(scratch_.path()));
    secure.push(layout_->path(), "amd64");
    const auto wanted = reference(secure, "amd64");

    const auto untrusted = error_of([&] { Client(options()).resolve(wanted, amd64, CancelToken()); });
    EXPECT_EQ(untrusted.kind(), ErrorKind::denied) << untrusted.what();
    EXPECT_NE(untrusted.message().find("certificate"), std::string::npos) << untrusted.what();
    EXPECT_NE(untrusted.remedy().find("ca_file"), std::string::npos) << untrusted.what();

    ClientOptions trusting = options();
    trusting.ca_file = scratch_ / "ca.pem";
    Client client(trusting);
    const auto resolved = client.resolve(wanted, amd64, CancelToken());
    Kept layer;
    client.fetch_blob(wanted, resolved.manifest.layers.at(0), layer, {}, CancelToken());
    EXPECT_EQ(sha256_of(layer.text), resolved.manifest.layers.at(0).digest);
}

/// Answers CONNECT and passes the bytes on to one port of 127.0.0.1; serves one tunnel at a time.
class TunnelProxy {
public:
    explicit TunnelProxy(unsigned port) : port_(port), socket_(Poco::Net::SocketAddress("127.0.0.1", 0)) {
        thread_ = std::thread([this] { run(); });
    }
    ~TunnelProxy() {
        stop_ = true;
        thread_.join();
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(socket_.address().port()); }
    std::string first_line() const { return first_line_; }  ///< to be read when the tunnel has been used

private:
    void run() {
        const Poco::Timespan step(20'000);
        while (!stop_) {
            if (!socket_.poll(step, Poco::Net::Socket::SELECT_READ)) continue;
            try {
                Poco::Net::StreamSocket client = socket_.acceptConnection();
                std::string head;
                char block[16384];
                while (head.find("\r\n\r\n") == std::string::npos) {
                    const int got = client.receiveBytes(block, sizeof block);
                    if (got <= 0) return;
                    head.append(block, static_cast<std::size_t>(got));
                }
                first_line_ = head.substr(0, head.find('\r'));
                Poco::Net::StreamSocket server(Poco::Net::SocketAddress("127.0.0.1", static_cast<Poco::UInt16>(port_)));
                const std::string ok = "HTTP/1.1 200 Connection established\r\n\r\n";
                client.sendBytes(ok.data(), static_cast<int>(ok.size()));
                while (!stop_) {
                    bool open = true;
                    for (auto* from : {&client, &server}) {
                        if (!from->poll(Poco::Timespan(1'000), Poco::Net::Socket::SELECT_READ)) continue;
                        const int got = from->receiveBytes(block, sizeof block);
                        if (got <= 0) open = false;
                        if (got > 0) (from == &client ? server : client).sendBytes(block, got);
                    }
                    if (!open) break;
                }
            } catch (const Poco::Exception&) {
                continue;  // one of the two left
            }
        }
    }

    unsigned port_;
    Poco::Net::ServerSocket socket_;
    std::atomic<bool> stop_{false};
    std::string first_line_;
    std::thread thread_;
};

TEST_F(RealRegistryTest, PullsThroughATunnelAndChecksTheRegistrysNameAtItsEnd) {
    LOCALD_REQUIRE(!find_program("openssl").empty(), "openssl");
    make_certificate(scratch_.path(), "DNS:registry.invalid");
    RealRegistry secure({}, tls_lines(scratch_.path()));
    secure.push(layout_->path(), "amd64");
    ClientOptions trusting = options();
    trusting.ca_file = scratch_ / "ca.pem";
    const auto through = [&](const std::string& registry) {
        const TunnelProxy proxy(secure.port());
        ::setenv("https_proxy", proxy.url().c_str(), 1);
        const auto error = error_of([&] {
            Client client(trusting);
            client.resolve(oci::parse_reference(registry + "/test/image:amd64"), amd64, CancelToken());
        });
        ::unsetenv("https_proxy");
        EXPECT_EQ(proxy.first_line(), "CONNECT " + registry + " HTTP/1.1");
        return error;
    };
    EXPECT_EQ(through("registry.invalid:5000").message(), "no error was thrown");
    EXPECT_EQ(through("other.invalid:5000").kind(), ErrorKind::denied);
}

TEST_F(RealRegistryTest, RefusesACertificateOfAnotherNameAlsoOnLoopback) {
    LOCALD_REQUIRE(!find_program("openssl").empty(), "openssl");
    make_certificate(scratch_.path(), "DNS:registry.example");
    RealRegistry secure({}, tls_lines(scratch_.path()));
    ClientOptions trusting = options();
    trusting.ca_file = scratch_ / "ca.pem";
    for (const char* host : {"127.0.0.1", "localhost"}) {
        auto wanted = reference(secure, "amd64");
        wanted.registry = std::string(host) + ":" + std::to_string(secure.port());
        const auto error = error_of([&] { Client(trusting).resolve(wanted, amd64, CancelToken()); });
        EXPECT_EQ(error.kind(), ErrorKind::denied) << error.what();
        EXPECT_NE(error.message().find("mismatch"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace locald::registry
