#include "core/host/tcp_listener.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace locald::host {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const std::string& address, std::uint16_t port) {
    try {
        ::close(listen_tcp(address, port));
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

TEST(TcpListener, PicksAPortThatIsThenTaken) {
    const int listener = listen_tcp("127.0.0.1", 0);
    const auto port = port_of(listener);
    EXPECT_NE(port, 0);
    const auto pid = "pid " + std::to_string(::getpid());
    EXPECT_THAT(holder_of_port(port), HasSubstr(pid));
    EXPECT_THAT(error_of("127.0.0.1", port), AllOf(HasSubstr("port " + std::to_string(port) + " of 127.0.0.1"),
                                                   HasSubstr("in use"), HasSubstr(pid), HasSubstr("another port")));
    EXPECT_THAT(error_of("0.0.0.0", port), HasSubstr("in use"));
    ::close(listener);
    EXPECT_EQ(holder_of_port(port), "");
    EXPECT_EQ(error_of("127.0.0.1", port), "no error");
}

TEST(TcpListener, NamesAnAddressThatIsNone) {
    EXPECT_THAT(error_of("127.0.0.x", 0), HasSubstr("127.0.0.x"));
    EXPECT_THAT(error_of("192.0.2.1", 0), AllOf(HasSubstr("192.0.2.1"), HasSubstr("assign")));
}

}  // namespace
}  // namespace locald::host
