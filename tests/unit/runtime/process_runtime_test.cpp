#include "core/runtime/process_runtime.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"

using namespace locald;
using namespace locald::runtime;

namespace {

// Containers are stood in for by plain processes under pipes: what is tried here is the service's own logic (output,
// restarts, stop). The real thing runs in the end-to-end tests and in the consumer project.
class ProcessContainer final : public ContainerHandle {
public:
    explicit ProcessContainer(std::string id, const std::string& script) : id_(std::move(id)) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        std::array<int, 2> err{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0 ||
            ::pipe2(err.data(), O_CLOEXEC) != 0)
            throw_errno(errno, "pipe2");
        host::ChildOptions options;
        options.argv = {"/bin/sh", "-c", script};
        options.env = {"PATH=/usr/bin:/bin"};
        options.handles = {{in[0], 0}, {out[1], 1}, {err[1], 2}};
        child_ = host::Child::start(options);
        ::close(in[0]);
        ::close(out[1]);
        ::close(err[1]);
        in_ = in[1];
        out_ = out[0];
        err_ = err[0];
    }
    ~ProcessContainer() override {
        close_stdin();
        ::close(out_);
        ::close(err_);
    }
    const std::string& id() const noexcept override { return id_; }
    int pid() const noexcept override { return child_.pid(); }
    int stdin_handle() const noexcept override { return in_; }
    int stdout_handle() const noexcept override { return out_; }
    int stderr_handle() const noexcept override { return err_; }
    void close_stdin() override {
        if (in_ >= 0) ::close(in_);
        in_ = -1;
    }
    void resize(host::TerminalSize) override {}
    bool drops(int) override { return false; }
    void signal(int number) override { child_.signal(number); }
    ExitStatus stop(std::chrono::milliseconds) override {
        child_.signal(SIGKILL);
        return {0, SIGKILL};
    }
    ExitStatus wait() override { return child_.wait(); }
    std::optional<ExitStatus> wait_for(std::chrono::milliseconds timeout) override { return child_.wait_for(timeout); }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    std::string id_;
    host::Child child_;
    int in_ = -1, out_ = -1, err_ = -1;
    std::vector<std::string> warnings_;
};

class ScriptedRuntime final : public ContainerRuntime {
public:
    std::deque<std::string> scripts;
    std::vector<bundle::RunOptions> started;

    ProbeReport probe() override { return {}; }
    Images& images() override { throw Error(ErrorKind::unsupported, "no images here"); }
    bundle::ContainerBundle prepare_bundle(const bundle::Source&, const bundle::RunOptions&, const std::string&,
                                           const ProgressSink&, const CancelToken&) override {
        return {};
    }
    bundle::ContainerBundle inspect_bundle(const std::string&) override { return {}; }
    std::unique_ptr<ContainerHandle> run_container(const bundle::Source&, const bundle::RunOptions& options,
                                                   const Stdio&, const ProgressSink&, const CancelToken&) override {
        if (scripts.empty()) throw Error(ErrorKind::not_found, "no script left");
        started.push_back(options);
        const std::string script = scripts.front();
        scripts.pop_front();
        return std::make_unique<ProcessContainer>(options.id, script);
    }
    std::vector<oci::State> list() override { return {}; }
    oci::State state(const std::string&) override { return {}; }
    void kill(const std::string&, int) override {}
    void remove(const std::string&, bool) override {}
};

ServiceOptions under_pipes() {
    ServiceOptions options;
    options.terminal = false;
    options.restart.delay = std::chrono::milliseconds(1);
    return options;
}

}  // namespace

TEST(ProcessRuntime, KeepsStreamsApartAndTheLastUnfinishedLine) {
    ScriptedRuntime scripted;
    scripted.scripts = {"printf 'one\\ntwo'; printf oops >&2; exit 3"};
    std::string out;
    std::string err;
    auto service = ProcessRuntime(scripted).run_container(
        "shop:web", {}, {}, under_pipes(),
        [&](OutputStream stream, std::string_view bytes) { (stream == OutputStream::out ? out : err).append(bytes); });
    EXPECT_EQ(service.wait(), (ExitStatus{3, 0}));
    EXPECT_EQ(out, "one\ntwo");
    EXPECT_EQ(err, "oops");
}

TEST(ProcessRuntime, MakesAnIdOfAnyServiceName) {
    ScriptedRuntime scripted;
    scripted.scripts = {"true"};
    auto service = ProcessRuntime(scripted).run_container(":shop:web/ü", {}, {}, under_pipes(), {});
    service.wait();
    ASSERT_EQ(scripted.started.size(), 1U);
    EXPECT_THAT(scripted.started[0].id, ::testing::MatchesRegex("shop-web-+[0-9a-f]+"));
}

TEST(ProcessRuntime, AddsTheCallsEnvironmentAfterTheOptions) {
    ScriptedRuntime scripted;
    scripted.scripts = {"true"};
    auto options = under_pipes();
    options.container.env = {{"A", "1"}, {"PORT", "1"}};
    ProcessRuntime(scripted).run_container("s", {}, {{"PORT", "8080"}}, options, {}).wait();
    const std::vector<std::pair<std::string, std::string>> expected{{"A", "1"}, {"PORT", "1"}, {"PORT", "8080"}};
    EXPECT_EQ(scripted.started.at(0).env, expected);
}

TEST(ProcessRuntime, RestartsOnFailureUntilItSucceeds) {
    ScriptedRuntime scripted;
    scripted.scripts = {"exit 1", "exit 2", "exit 0", "exit 9"};
    auto options = under_pipes();
    options.restart.when = RestartPolicy::When::on_failure;
    auto service = ProcessRuntime(scripted).run_container("s", {}, {}, options, {});
    EXPECT_EQ(service.wait(), (ExitStatus{0, 0}));
    EXPECT_EQ(service.restarts(), 2U);
    EXPECT_NE(scripted.started.at(0).id, scripted.started.at(1).id);
}

TEST(ProcessRuntime, StopsRestartingAtTheLimit) {
    ScriptedRuntime scripted;
    scripted.scripts = {"exit 1", "exit 2", "exit 3", "exit 0"};
    auto options = under_pipes();
    options.restart.when = RestartPolicy::When::always;
    options.restart.most_restarts = 2;
    auto service = ProcessRuntime(scripted).run_container("s", {}, {}, options, {});
    EXPECT_EQ(service.wait(), (ExitStatus{3, 0}));
}

TEST(ProcessRuntime, StopEndsAServiceThatWouldRestart) {
    ScriptedRuntime scripted;
    scripted.scripts = {"sleep 100", "exit 0"};
    auto options = under_pipes();
    options.restart.when = RestartPolicy::When::always;
    auto service = ProcessRuntime(scripted).run_container("s", {}, {}, options, {});
    EXPECT_GT(service.pid(), 0);
    EXPECT_EQ(service.stop(std::chrono::milliseconds(10)).signal, SIGKILL);
    EXPECT_EQ(scripted.started.size(), 1U);
    EXPECT_EQ(service.pid(), 0);
    EXPECT_THROW(service.write("x"), Error);
}

TEST(ProcessRuntime, HandsInputToTheContainer) {
    ScriptedRuntime scripted;
    scripted.scripts = {"cat"};
    std::string out;
    auto service = ProcessRuntime(scripted).run_container(
        "s", {}, {}, under_pipes(), [&](OutputStream, std::string_view bytes) { out.append(bytes); });
    service.write("hello\n");
    service.close_stdin();
    EXPECT_TRUE(service.wait().ok());
    EXPECT_EQ(out, "hello\n");
}

TEST(ProcessRuntime, ReportsAFailedRestart) {
    ScriptedRuntime scripted;
    scripted.scripts = {"exit 1"};
    auto options = under_pipes();
    options.restart.when = RestartPolicy::When::always;
    auto service = ProcessRuntime(scripted).run_container("s", {}, {}, options, {});
    EXPECT_THROW(service.wait(), Error);
}
