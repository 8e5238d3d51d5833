#include "core/runtime/container_runtime.hpp"

#include "core/runtime/host_setup.hpp"

namespace locald::runtime {

std::string_view to_string(Finding::Severity severity) noexcept {
    switch (severity) {
        case Finding::Severity::ok:
            return "ok";
        case Finding::Severity::note:
            return "note";
        case Finding::Severity::warning:
            return "warning";
        case Finding::Severity::critical:
            break;
    }
    return "critical";
}

std::string_view to_string(SetupStep::State state) noexcept {
    switch (state) {
        case SetupStep::State::good:
            return "good";
        case SetupStep::State::done:
            return "done";
        case SetupStep::State::would:
            return "would";
        case SetupStep::State::missing:
            return "missing";
        case SetupStep::State::wrong:
            return "wrong";
        case SetupStep::State::note:
            break;
    }
    return "note";
}

std::string_view to_string(ContainerInfo::Status status) noexcept {
    switch (status) {
        case ContainerInfo::Status::created:
            return "created";
        case ContainerInfo::Status::running:
            return "running";
        case ContainerInfo::Status::exited:
            return "exited";
        case ContainerInfo::Status::lost:
            break;
    }
    return "lost";
}

namespace {

[[noreturn]] void not_here(const char* what) {
    throw Error(ErrorKind::unsupported, std::string(what) + ": this backend cannot do that");
}

}  // namespace

ImageSummary Images::import_from(FileSource&, const oci::ImageName&, const std::string&, const ProgressSink&,
                                 const CancelToken&) {
    not_here("take in an image from files on another host");
}
void Images::export_to_sink(const std::string&, FileSink&, bool, const ProgressSink&, const CancelToken&) {
    not_here("write an image to files on another host");
}
oci::ImageName Images::layout_of(const std::string&) { not_here("say where an image lies"); }

DetachedStart ContainerRuntime::run_detached(const bundle::Source&, const bundle::RunOptions&, const DetachOptions&,
                                             const ProgressSink&, const CancelToken&) {
    not_here("run a container in the background");
}

std::vector<ContainerInfo> ContainerRuntime::containers() { not_here("list containers"); }
ContainerInfo ContainerRuntime::container(const std::string&) { not_here("look at a container"); }
ExitStatus ContainerRuntime::wait(const std::string&, const CancelToken&) { not_here("wait for a container"); }
void ContainerRuntime::stop(const std::string&, std::chrono::milliseconds) { not_here("stop a container"); }

std::unique_ptr<ContainerHandle> ContainerRuntime::attach(const std::string&, const AttachOptions&, const Stdio&) {
    not_here("attach to a container");
}

std::unique_ptr<ContainerHandle> ContainerRuntime::exec(const std::string&, const ExecOptions&, const Stdio&) {
    not_here("run one more process in a container");
}

void ContainerRuntime::logs(const std::string&, const LogOptions&, int, int, const CancelToken&) {
    not_here("show the output of a container");
}

HostSetup& ContainerRuntime::host_setup() {
    throw Error(ErrorKind::unsupported, "set the host up: this backend needs nothing to be set up on it");
}

}  // namespace locald::runtime
