#include "core/oci/state.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.hpp"

namespace locald::oci {
namespace {

State sample() {
    State state;
    state.oci_version = "1.3.0";
    state.id = "web";
    state.status = "running";
    state.pid = 4422;
    state.bundle = "/bundles/web";
    state.rootfs = "/bundles/web/rootfs";
    state.created = "2026-01-02T03:04:05.678901234Z";
    state.annotations = {{"k", "v"}};
    return state;
}

TEST(StateJson, HasTheOrderThatOtherRuntimesPrint) {
    EXPECT_EQ(to_json(sample(), false),
              R"({"ociVersion":"1.3.0","id":"web","pid":4422,"status":"running","bundle":"/bundles/web",)"
              R"("rootfs":"/bundles/web/rootfs","created":"2026-01-02T03:04:05.678901234Z","annotations":{"k":"v"},)"
              R"("owner":""})");
}

TEST(StateJson, GivesHooksTheSpecsMembersOnly) {
    EXPECT_EQ(to_hook_json(sample()),
              R"({"ociVersion":"1.3.0","id":"web","status":"running","pid":4422,"bundle":"/bundles/web",)"
              R"("annotations":{"k":"v"}})");
}

TEST(StateJson, SurvivesARoundTrip) {
    const auto text = to_json(sample());
    EXPECT_EQ(to_json(parse_state(text)), text);
}

TEST(StateJson, TakesOtherRuntimesStates) {
    const auto state = parse_state(
        R"({"ociVersion":"1.0.2-dev","id":"x","status":"paused","bundle":"/b","annotations":null,"more":1})");
    EXPECT_EQ(state.pid, 0);
    EXPECT_EQ(state.status, "paused");
}

TEST(StateJson, NamesThePlaceOfWhatIsWrong) {
    const auto said = [](const char* text) -> std::string {
        try {
            parse_state(text);
        } catch (const Error& e) {
            return e.what();
        }
        return "no error";
    };
    EXPECT_EQ(said(R"({"ociVersion":"1.0.0"})"), "id: missing");
    EXPECT_EQ(said(R"({"ociVersion":"1.0.0","id":"x"})"), "status: missing");
    EXPECT_EQ(said(R"({"ociVersion":"1.0.0","id":"x","status":"up","bundle":"/"})"),
              "status: expected creating, created, running, stopped or paused, got \"up\"");
    EXPECT_EQ(said(R"({"ociVersion":"1.0.0","id":"x","status":"running","bundle":"/","pid":-5})"),
              "pid: expected a process id, got -5");
    EXPECT_EQ(said(R"({"ociVersion":"1.0.0","id":"x","status":"running","bundle":"/","pid":2147483648})"),
              "pid: expected -2147483648..2147483647, got 2147483648");
    EXPECT_EQ(said("{\"ociVersion\":\"1.0.0\",").substr(0, 8), "not JSON") << "a state file cut short";
}

}  // namespace
}  // namespace locald::oci
