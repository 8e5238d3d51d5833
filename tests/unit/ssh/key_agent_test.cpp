#include "backends/ssh/key_agent.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

#include "backends/remote/local_socket.hpp"
#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

using namespace locald;
using namespace locald::backends;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

namespace {

std::string number(std::size_t value) {
    return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U), static_cast<char>(value >> 8U),
            static_cast<char>(value)};
}
std::string sized(const std::string& text) { return number(text.size()) + text; }

const std::string blob = sized("ssh-ed25519") + sized("the key");
const std::string two_keys = "\x0c" + number(2) + sized(blob) + sized("me@here") + sized(sized("ssh-rsa")) + sized("");

std::string login(const std::string& kind) {
    return sized("session") + "\x32" + sized("me") + sized("ssh-connection") + sized("publickey") + "\x01" +
           sized(kind) + sized(blob);
}

template <class Body>
std::string error_of(Body&& body) {
    try {
        body();
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

/// Takes one question and says this, byte for byte.
class Agent {
public:
    explicit Agent(std::string answer)
        : listener_(listen_at(path())), thread_([this, answer = std::move(answer)] { serve(answer); }) {}
    ~Agent() {
        thread_.join();
        ::close(listener_);
    }
    std::string path() const { return dir_.path() + "/agent"; }

private:
    void serve(const std::string& answer) const {
        const int client = ::accept(listener_, nullptr, nullptr);
        std::array<char, 512> question{};
        if (::recv(client, question.data(), question.size(), 0) > 0) {
            for (const char c : answer) ::send(client, &c, 1, MSG_NOSIGNAL);
        }
        if (answer.empty()) static_cast<void>(::recv(client, question.data(), 1, 0));  // until the other has had enough
        ::close(client);
    }

    locald::testing::TempDir dir_;
    int listener_;
    std::thread thread_;
};

auto soon() { return std::chrono::steady_clock::now() + 200ms; }
auto later() { return std::chrono::steady_clock::now() + 20s; }

}  // namespace

TEST(AgentKeys, HaveTypesAndComments) {
    const auto keys = parse_agent_keys(two_keys);
    ASSERT_THAT(keys, SizeIs(2));
    EXPECT_EQ(keys[0].type(), "ssh-ed25519");
    EXPECT_EQ(keys[0].comment, "me@here");
    EXPECT_EQ(keys[1].type(), "ssh-rsa");
}

TEST(AgentKeys, CutAnywhereAreNone) {
    for (std::size_t size = 0; size < two_keys.size(); ++size) {
        EXPECT_THROW(parse_agent_keys(two_keys.substr(0, size)), Error) << size;
    }
    EXPECT_THROW(parse_agent_keys("\x0c" + number(1) + sized("no type") + sized("")), Error);
    EXPECT_THROW(parse_agent_keys("\x0c" + number(0xffffffffU)), Error);
    EXPECT_THAT(error_of([] { parse_agent_keys("\x05"); }), HasSubstr("does not say which keys"));
    EXPECT_THAT(error_of([] { parse_agent_keys("HTTP"); }), HasSubstr("no ssh-agent"));
}

TEST(AgentSignature, IsOfTheKindThatTheLoginNames) {
    EXPECT_EQ(signature_kind_of(login("rsa-sha2-512")), "rsa-sha2-512");
    const auto answer = "\x0e" + sized(sized("rsa-sha2-512") + sized("signed"));
    EXPECT_EQ(parse_agent_signature(answer, "rsa-sha2-512"), "signed");
    EXPECT_THAT(error_of([&] { parse_agent_signature(answer, "ssh-rsa"); }), HasSubstr("signs by \"rsa-sha2-512\""));
    EXPECT_THAT(error_of([] { parse_agent_signature("\x05", "ssh-rsa"); }), HasSubstr("does not sign"));
    for (std::size_t size = 0; size < answer.size(); ++size) {
        EXPECT_THROW(parse_agent_signature(answer.substr(0, size), "rsa-sha2-512"), Error) << size;
    }
}

TEST(KeyAgent, IsReadInPieces) {
    const Agent agent(sized(two_keys));
    EXPECT_THAT(KeyAgent(agent.path(), later()).keys(), SizeIs(2));
}

TEST(KeyAgent, IsNotWaitedForWithoutEnd) {
    const Agent agent("");
    EXPECT_THAT(error_of([&] { KeyAgent(agent.path(), soon()).keys(); }),
                AllOf(HasSubstr(agent.path()), HasSubstr("no answer in time"), HasSubstr("confirmation")));
}

TEST(KeyAgent, ThatEndsOrSaysTooMuchIsNamed) {
    for (const auto& [answer, words] :
         {std::pair(sized(two_keys).substr(0, 30), "it hung up"), std::pair(number(1U << 30U), "no ssh-agent"),
          std::pair(number(0), "no ssh-agent")}) {
        const Agent agent(answer);
        EXPECT_THAT(error_of([&] { KeyAgent(agent.path(), later()).keys(); }),
                    AllOf(HasSubstr(agent.path()), HasSubstr(words)));
    }
}

TEST(KeyAgent, ThatIsNotThereIsNamed) {
    ::unsetenv("LOCALD_TEST_AGENT");
    EXPECT_THAT(error_of([] { KeyAgent("$LOCALD_TEST_AGENT", soon()); }),
                AllOf(HasSubstr("LOCALD_TEST_AGENT is not set"), HasSubstr("ssh-add")));
    const locald::testing::TempDir dir;
    EXPECT_THAT(error_of([&] { KeyAgent(dir.path() + "/none", soon()); }),
                AllOf(HasSubstr("ssh-agent"), HasSubstr("/none"), HasSubstr("No such file")));
}
