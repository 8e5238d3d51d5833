// A runtime that pulls, behind an agent: whom it asks for credentials, and when.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/agent/agent.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "core/host/pipe.hpp"
#include "tests/support/fake_runtime.hpp"

using namespace locald;
using namespace locald::backends;
using namespace locald::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

using Ask = std::function<void(const CredentialSource&)>;

class PulledImages final : public FakeImages {
public:
    explicit PulledImages(Ask ask) : ask_(std::move(ask)) {}
    runtime::ImageSummary pull(const oci::ImageName&, const runtime::PullOptions& options, const ProgressSink&,
                               const CancelToken&) override {
        ask_(options.credentials);
        return {};
    }

private:
    Ask ask_;
};

/// Asks as a registry client would, twice, and for another registry than the image's.
class Pulling final : public FakeRuntime {
public:
    runtime::Images& images() override { return images_; }
    bundle::ContainerBundle prepare_bundle(const bundle::Source& source, const bundle::RunOptions&, const std::string&,
                                           const ProgressSink&, const CancelToken&) override {
        ask(source.credentials);
        bundle::ContainerBundle made;
        made.spec.oci_version = "1.3.0";
        return made;
    }
    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source& source,
                                                            const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink& progress,
                                                            const CancelToken& cancel) override {
        ask(source.credentials);
        return FakeRuntime::run_container(source, options, stdio, progress, cancel);
    }
    runtime::DetachedStart run_detached(const bundle::Source& source, const bundle::RunOptions&,
                                        const runtime::DetachOptions&, const ProgressSink&,
                                        const CancelToken&) override {
        ask(source.credentials);
        return {"id", {}};
    }

    bool asks = true;
    bool may_ask = false;
    std::string places;
    std::optional<Credentials> got;
    std::atomic<int> asked = 0;

private:
    void ask(const CredentialSource& source) {
        may_ask = static_cast<bool>(source.find);
        places = source.places;
        if (!asks || !may_ask) return;
        ++asked;
        for (int i = 0; i < 2; ++i) got = source.find("evil.example", "any/thing");
    }

    PulledImages images_{[this](const CredentialSource& source) { ask(source); }};
};

class AskedCredentials : public ::testing::Test {
protected:
    /// @param elsewhere  the agent is on another host
    std::unique_ptr<runtime::ContainerRuntime> link(bool elsewhere = true) {
        const auto ends = host::make_socket_pair();
        agent_ = std::thread([this, end = ends[1]] { serve_agent(there_, end, end); });
        std::optional<OtherHost> other;
        if (elsewhere) {
            other.emplace();
            other->shared = {{"/", "/", false, false}};
            other->credentials = {"/here/config.json", [this](std::string_view registry, std::string_view repository) {
                                      looked_for_.push_back(std::string(registry) + " " + std::string(repository));
                                      if (fails_)
                                          throw Error(ErrorKind::unavailable, "no helper").with_remedy("mend it");
                                      return known_;
                                  }};
        }
        return make_remote_runtime([end = ends[0]] { return std::make_shared<AgentClient>(end, end, "far"); },
                                   std::chrono::milliseconds(0), std::move(other));
    }
    void TearDown() override {
        if (agent_.joinable()) agent_.join();
    }
    static bundle::Source source(const char* image = "host.example/team/app:1") {
        bundle::Source source;
        source.image = oci::parse_image_name(image);
        return source;
    }

    Pulling there_;
    std::optional<Credentials> known_ = Credentials{"ann", std::string("w\0\xFF:", 4), "", "/here/config.json"};
    bool fails_ = false;
    std::vector<std::string> looked_for_;
    std::thread agent_;
};

TEST_F(AskedCredentials, AreTheClientsForEveryRequestThatPulls) {
    const auto here = link();
    const auto check = [this](const char* what) {
        ASSERT_TRUE(there_.got) << what;
        EXPECT_EQ(there_.got->username, "ann") << what;
        EXPECT_EQ(there_.got->password, known_->password) << what;
        EXPECT_EQ(there_.got->source, "/here/config.json") << what;
        EXPECT_EQ(there_.places, "/here/config.json") << what;
        // of its own image, whatever the other side says, and once for both questions
        EXPECT_THAT(looked_for_, ElementsAre("host.example team/app")) << what;
        there_.got.reset();
        looked_for_.clear();
    };
    here->images().pull(*source().image, {}, {}, {});
    check("pull");
    here->prepare_bundle(source(), {}, "/b", {}, {});
    check("prepare");
    here->run_container(source(), {}, pipes(), {}, {});
    check("run");
    here->run_detached(source(), {}, {}, {}, {});
    check("run detached");
}

TEST_F(AskedCredentials, AreNotLookedUpUntilSomebodyAsks) {
    there_.asks = false;
    const auto here = link();
    here->run_container(source(), {}, pipes(), {}, {});
    EXPECT_TRUE(there_.may_ask);
    EXPECT_THAT(looked_for_, IsEmpty());
}

TEST_F(AskedCredentials, AreNoneWhereTheClientKnowsNone) {
    known_.reset();
    link()->run_container(source(), {}, pipes(), {}, {});
    EXPECT_EQ(there_.asked, 1);  // so that files over there are not taken in their place
    EXPECT_FALSE(there_.got);
}

TEST_F(AskedCredentials, ErrorsOfTheLookUpComeBack) {
    fails_ = true;
    try {
        link()->images().pull(*source().image, {}, {}, {});
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unavailable);
        EXPECT_THAT(e.what(), HasSubstr("no helper"));
        EXPECT_EQ(e.remedy(), "mend it");
    }
}

TEST_F(AskedCredentials, AreOfNoImageThatIsNoRegistrys) {
    link()->run_container(source("oci:/a/directory"), {}, pipes(), {}, {});
    EXPECT_FALSE(there_.may_ask);
}

TEST_F(AskedCredentials, AreTheAgentsOwnOnThisHost) {
    link(false)->run_container(source(), {}, pipes(), {}, {});
    EXPECT_FALSE(there_.may_ask);
}

TEST_F(AskedCredentials, AnAgentIsGivenThoseOfWhoeverAskedForTheContainer) {
    auto wanted = source();
    wanted.credentials = {"/farther", [](std::string_view, std::string_view) {
                              return Credentials{"bob", "p", "", "/farther"};
                          }};
    link(false)->run_detached(wanted, {}, {}, {}, {});  // as an agent has a keeper do it
    ASSERT_TRUE(there_.got);
    EXPECT_EQ(there_.got->username, "bob");
}

TEST_F(AskedCredentials, PathsOfAnyBytesCross) {
    known_->source = "/h\xFF/config.json";
    auto wanted = source();
    wanted.credentials = {"/h\xFF", [this](std::string_view, std::string_view) { return known_; }};
    link()->run_container(wanted, {}, pipes(), {}, {});
    EXPECT_EQ(there_.places, "/h?");
    ASSERT_TRUE(there_.got);
    EXPECT_EQ(there_.got->source, "/h?/config.json");
}

TEST_F(AskedCredentials, AClientThatGoesAwayInsteadOfAnsweringEndsTheRequest) {
    const auto ends = host::make_socket_pair();
    agent_ = std::thread([this, end = ends[1]] { serve_agent(there_, end, end); });
    {
        AgentClient client(ends[0], ends[0], "far");
        const auto stream = client.open();
        client.send(*stream, {{"do", "image pull"},
                              {"new", true},
                              {"name", "host.example/team/app:1"},
                              {"platform", ""},
                              {"credentials", "/here"}});
        EXPECT_EQ(client.wait_for(*stream, "ask", {}, {}), "credentials");
    }
    agent_.join();  // or this hangs
    EXPECT_FALSE(there_.got);
}

}  // namespace
