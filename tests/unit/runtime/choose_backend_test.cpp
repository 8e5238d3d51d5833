#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/base/error.hpp"
#include "core/runtime/backend_entry.hpp"

using locald::Error;
using locald::ErrorKind;
using namespace locald::runtime;
using ::testing::HasSubstr;

namespace {

std::unique_ptr<ContainerRuntime> make_nothing(const RuntimeChoice&) { return nullptr; }

constexpr std::array rows{BackendEntry{"linux", make_nothing}};
constexpr BackendTable with_row{"Linux", rows, {}, {}};
constexpr BackendTable without{
    "a build without a backend", {}, "container execution needs Linux", "run `locald vm init`"};

Error refusal(const BackendTable& table, const RuntimeChoice& choice) {
    try {
        choose_backend(table, choice);
    } catch (const Error& e) {
        return e;
    }
    return Error(ErrorKind::system, "no error");
}

}  // namespace

TEST(ChooseBackend, TakesTheFirstRowWhenNoneIsNamed) { EXPECT_EQ(choose_backend(with_row, {}), nullptr); }

TEST(ChooseBackend, NamesPlatformWhatIsMissingAndTheWayOutWhenThereIsNoRow) {
    const Error error = refusal(without, {});
    EXPECT_EQ(error.kind(), ErrorKind::unsupported_platform);
    EXPECT_THAT(error.message(), HasSubstr("a build without a backend"));
    EXPECT_THAT(error.message(), HasSubstr("needs Linux"));
    EXPECT_THAT(error.remedy(), HasSubstr("locald vm init"));
}

TEST(ChooseBackend, SaysWhatLimaAndWslAreForOnLinux) {
    RuntimeChoice choice;
    choice.backend = "lima";
    EXPECT_THAT(refusal(with_row, choice).message(), HasSubstr("macOS"));
    choice.backend = "wsl";
    EXPECT_THAT(refusal(with_row, choice).message(), HasSubstr("Windows"));
}

TEST(ChooseBackend, ListsTheBackendsForAnUnknownName) {
    RuntimeChoice choice;
    choice.backend = "docker";
    const Error error = refusal(with_row, choice);
    EXPECT_THAT(error.message(), HasSubstr("\"docker\""));
    EXPECT_THAT(error.remedy(), HasSubstr("linux"));
}

TEST(ChooseBackend, RefusesARemoteHost) {
    RuntimeChoice choice;
    choice.host = "ssh://user@host";
    EXPECT_THAT(refusal(with_row, choice).message(), HasSubstr("ssh://user@host"));
}
