// Runs the embedded image through both facades of the installed package and checks what comes back.
// usage: consumer BIN_DIRECTORY DATA_DIRECTORY

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/oci/reference.hpp"
#include "core/runtime/container_runtime.hpp"
#include "core/runtime/process_runtime.hpp"

namespace {

using namespace locald;

std::string read_all(int handle) {
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = ::read(handle, buffer, sizeof buffer)) > 0;) {
        text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
}

bool check(bool ok, std::string_view what) {
    std::cout << (ok ? "ok: " : "failed: ") << what << '\n';
    return ok;
}

bool run_directly(runtime::ContainerRuntime& containers, const bundle::Source& source) {
    runtime::Stdio stdio;
    stdio.mode = runtime::Stdio::Mode::pipes;
    auto container = containers.run_container(source, {}, stdio, {}, {});
    container->close_stdin();
    const std::string output = read_all(container->stdout_handle());
    const auto status = container->wait();
    return check(status.code == 0 && status.signal == 0, "ContainerRuntime: the hello image ends with 0") &
           check(output.find("made by locald") != std::string::npos, "ContainerRuntime: its output came by a pipe");
}

bool run_as_service(runtime::ContainerRuntime& containers, const bundle::Source& source, bool terminal) {
    runtime::ProcessRuntime services(containers);
    runtime::ServiceOptions options;
    options.terminal = terminal;
    std::string output;
    auto service = services.run_container("shop:hello", source, {{"PORT", "8080"}}, options,
                                          [&](runtime::OutputStream, std::string_view bytes) { output += bytes; });
    const auto status = service.wait();
    return check(status.code == 0 && status.signal == 0, "ProcessRuntime: the service ends with 0") &
           check(output.find("made by locald") != std::string::npos, "ProcessRuntime: its output came to the sink") &
           check(service.restarts() == 0, "ProcessRuntime: it was not started again");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    try {
        const std::string programs = argv[1];
        runtime::RuntimeChoice choice;
        choice.shim = programs + "/locald-shim";
        choice.worker = programs + "/locald";
        choice.data_directory = argv[2];
        const auto containers = runtime::make_runtime(choice);
        bundle::Source source;
        source.image = oci::parse_image_name("locald/hello");
        bool ok = run_directly(*containers, source);
        ok &= run_as_service(*containers, source, true);
        ok &= run_as_service(*containers, source, false);
        return ok ? 0 : 1;
    } catch (const Error& error) {
        std::cerr << "consumer: " << error.what() << '\n';
        return 1;
    }
}
