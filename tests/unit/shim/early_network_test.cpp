#include "shim/namespaces/early_network.hpp"

#include <gtest/gtest.h>

namespace locald::shim {
namespace {

TEST(EarlyNetwork, IsGuessedFromANewNetworkNamespaceWithoutAUserNamespace) {
    EXPECT_TRUE(early_network_likely(R"({"linux":{"namespaces":[{"type":"pid"},{"type":"network"}]}})"));
    EXPECT_TRUE(
        early_network_likely(R"({"process":{"user":{"uid":0}},"linux":{"namespaces":[{ "type" : "network" }]}})"));
    EXPECT_FALSE(early_network_likely(R"({"linux":{"namespaces":[{"type":"network","path":"/n"}]}})"));
    EXPECT_FALSE(early_network_likely(R"({"linux":{"namespaces":[{"path":"/n","type":"network"}]}})"));
    EXPECT_FALSE(early_network_likely(R"({"linux":{"namespaces":[{"type":"network"},{"type":"user"}]}})"));
    EXPECT_FALSE(early_network_likely(R"({"linux":{"resources":{"network":{"classID":1}},"namespaces":[]}})"));
    EXPECT_FALSE(early_network_likely(""));
    EXPECT_FALSE(early_network_likely("\"network\""));
}

}  // namespace
}  // namespace locald::shim
