#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/flags_values.hpp"

namespace locald::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string shown(std::string_view value) {
    const auto port = parse_publish(value);
    return port.address + " " + std::to_string(port.host_port) + " " + std::to_string(port.container_port);
}

std::string error_of(std::string_view value) {
    try {
        return "no error: " + shown(value);
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::invalid);
        return e.what();
    }
}

TEST(Publish, HasDockersForms) {
    EXPECT_EQ(shown("80"), " 0 80");
    EXPECT_EQ(shown("8080:80"), " 8080 80");
    EXPECT_EQ(shown("8080:80/tcp"), " 8080 80");
    EXPECT_EQ(shown("0:80"), " 0 80");
    EXPECT_EQ(shown("127.0.0.1:8080:80"), "127.0.0.1 8080 80");
    EXPECT_EQ(shown("0.0.0.0::80"), "0.0.0.0 0 80");
    EXPECT_EQ(shown("[::1]:8080:80"), "::1 8080 80");
    EXPECT_EQ(shown("65535:65535"), " 65535 65535");
}

TEST(Publish, SaysWhatIsWrong) {
    EXPECT_THAT(error_of("53:53/udp"), AllOf(HasSubstr("--publish \"53:53/udp\""), HasSubstr("TCP alone")));
    EXPECT_THAT(error_of("80/ftp"), HasSubstr("no protocol"));
    EXPECT_THAT(error_of("8000-8010:8000-8010"), HasSubstr("-p for each port"));
    EXPECT_THAT(error_of("80:0"), HasSubstr("1 to 65535"));
    for (const auto* bad : {"", ":", "x", "80:x", "65536", "80:65536", "-1:80", "80:"}) {
        EXPECT_THAT(error_of(bad), ::testing::Not(HasSubstr("no error"))) << bad;
    }
    for (const auto* bad : {"localhost:80:80", "::1:80:80", "[127.0.0.1]:80:80", "[::1:80:80", ":80:80"}) {
        EXPECT_THAT(error_of(bad), HasSubstr("the host's address is one like")) << bad;
    }
}

}  // namespace
}  // namespace locald::cli
