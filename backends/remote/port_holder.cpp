#include "backends/remote/port_holder.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "backends/protocol/values.hpp"
#include "core/host/child_process.hpp"
#include "core/host/pipe.hpp"
#include "core/host/stream.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using bundle::PortOption;
using protocol::Json;

// Where it finds its end of the socket to whoever started it.
constexpr int talk_number = 3;
// A host that cannot be reached for so long has lost its container for us.
constexpr auto unreachable_most = 1h;
constexpr auto try_again_after = 5s;

Json write_ports(const std::vector<PortOption>& ports) {
    auto list = Json::array();
    for (const auto& port : ports) list.push_back({port.address, port.host_port, port.container_port});
    return list;
}

std::vector<PortOption> read_ports(const Json& json) {
    std::vector<PortOption> ports;
    for (const auto& one : json) {
        ports.push_back({one.at(0).get<std::string>(), one.at(1).get<std::uint16_t>(), one.at(2).get<std::uint16_t>()});
    }
    return ports;
}

/// One message a line. Nothing at the end.
std::optional<std::string> read_line(int handle) {
    std::string line;
    for (;;) {
        char c = 0;
        const auto got = ::read(handle, &c, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return std::nullopt;
        if (c == '\n') return line;
        line += c;
    }
}

/// Returns when the container has ended, or nobody can tell any more.
void wait_for_end(const std::string& id, const std::function<std::unique_ptr<runtime::ContainerRuntime>()>& connect) {
    using Clock = std::chrono::steady_clock;
    for (auto reached = Clock::now(); Clock::now() - reached < unreachable_most;) {
        bool was_there = false;
        try {
            const auto runtime = connect();
            runtime->container(id);
            was_there = true;
            runtime->wait(id, CancelToken{});
            return;
        } catch (const Error& e) {
            if (was_there) reached = Clock::now();  // the wait may have taken days
            // The container goes on when a connection breaks; one that is not there any more has ended.
            if (e.kind() != ErrorKind::lost && e.kind() != ErrorKind::unavailable) return;
        }
        std::this_thread::sleep_for(try_again_after);
    }
}

}  // namespace

PortHolder::PortHolder(const std::string& address, const std::vector<PortOption>& ports, const std::string& program) {
    const auto ends = host::make_socket_pair();
    talk_ = ends[0];
    host::ChildOptions options;
    options.argv = {program, "port-holder", address};
    options.env = host::current_environment();
    options.cwd = "/";
    options.new_session = true;
    options.handles = {{ends[1], talk_number}};
    auto child = host::Child::start(options);
    ::close(ends[1]);
    try {
        host::write_all(talk_, protocol::dump(write_ports(ports)) + "\n");
        const auto said = read_line(talk_);
        if (!said) throw Error(ErrorKind::lost, "publish ports: the process that keeps them ended before it was ready");
        const auto answer = protocol::parse(*said);
        if (const auto error = answer.find("error"); error != answer.end()) throw protocol::read_error(*error);
        ports_ = read_ports(answer.at("ports"));
        warnings_ = answer.at("warnings").get<std::vector<std::string>>();
    } catch (...) {
        ::close(std::exchange(talk_, -1));
        throw;
    }
    child.release();
}

PortHolder::~PortHolder() {
    if (talk_ >= 0) ::close(talk_);
}

void PortHolder::hold_for(const std::string& container) { host::write_all(talk_, container + "\n"); }

int hold_ports(const OpenForwards& open, const std::function<std::unique_ptr<runtime::ContainerRuntime>()>& connect) {
    ::fcntl(talk_number, F_SETFD, FD_CLOEXEC);
    std::signal(SIGPIPE, SIG_IGN);
    const auto asked = read_line(talk_number);
    if (!asked) return 1;
    try {
        const auto forwards = open(read_ports(protocol::parse(*asked)));
        const Json answer{{"ports", write_ports(forwards->ports())}, {"warnings", forwards->warnings()}};
        host::write_all(talk_number, protocol::dump(answer) + "\n");
        if (const auto id = read_line(talk_number)) {
            ::close(talk_number);
            wait_for_end(*id, connect);
        }
        return 0;
    } catch (const Error& e) {
        try {
            host::write_all(talk_number, protocol::dump(Json{{"error", protocol::write_error(e)}}) + "\n");
        } catch (const Error&) {  // it is gone
        }
        return exit_code_of(e);
    }
}

}  // namespace locald::backends
