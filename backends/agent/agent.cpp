#include "backends/agent/agent.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>

#include "backends/agent/request.hpp"
#include "backends/protocol/timing.hpp"
#include "core/base/log.hpp"
#include "core/base/version.hpp"

namespace locald::backends {

namespace {

using Json = nlohmann::json;

class Agent {
public:
    Agent(runtime::ContainerRuntime& runtime, int in, int out) : runtime_(runtime), link_(in, out) {}
    ~Agent() {
        if (ender_.joinable()) ender_.join();
        for (auto& [stream, request] : requests_) request->join();
    }

    void serve() {
        // Until the client says what it keeps to.
        const auto timing = protocol::timing_between_hosts();
        link_.expect_word_every(std::max(timing.lease, timing.greeting));
        greet();
        link_.run({[this](std::uint32_t stream, const Json& message) { take(stream, message); },
                   [this](std::uint32_t stream, protocol::FrameType type) {
                       const auto found = requests_.find(stream);
                       if (found != requests_.end()) found->second->closed(type);
                   },
                   [this](const Error&) { end(); }});
    }

private:
    /// The first message of all is ours.
    void greet() {
        utsname host{};
        ::uname(&host);
        std::string boot;
        std::ifstream boot_id("/proc/sys/kernel/random/boot_id");
        std::getline(boot_id, boot);
        link_.send(
            0,
            Json{{"hello",
                  {{"protocol", protocol::version}, {"version", version}, {"machine", host.machine}, {"boot", boot}}}});
    }

    void take(std::uint32_t stream, const Json& message) {
        forget_finished();
        if (stream == 0) {
            if (message.contains("ping")) link_.send(0, Json{{"pong", message["ping"]}});
            if (const auto lease = message.find("lease"); lease != message.end() && lease->is_number_unsigned()) {
                link_.expect_word_every(std::chrono::milliseconds(lease->get<std::uint32_t>()));
            }
            return;
        }
        const auto found = requests_.find(stream);
        try {
            if (found != requests_.end() && message.value("do", "") == "abandon") {
                link_.discard(stream);
                found->second->abandon();
            } else if (found != requests_.end()) {
                found->second->message(message);
            } else if (message.value("do", "") != "cancel" && message.contains("new")) {
                auto request = make_request(runtime_, link_, stream, message);
                request->start();
                requests_.emplace(stream, std::move(request));
            }  // else it has ended meanwhile
        } catch (const std::exception& e) {
            // An error would be the end of the request, which goes on.
            if (found != requests_.end()) return log(LogLevel::debug, std::string("take a message: ") + e.what());
            link_.send(stream, caught_error());
        }
    }

    void forget_finished() {
        for (auto it = requests_.begin(); it != requests_.end();) {
            if (it->second->finished()) {
                it->second->join();
                it = requests_.erase(it);
            } else {
                ++it;
            }
        }
    }

    /// The client is gone. What containers still say is read on by the link meanwhile, so that they end in peace.
    void end() {
        for (auto& [stream, request] : requests_) request->abandon();
        ender_ = std::thread([this] {
            for (auto& [stream, request] : requests_) request->join();
            link_.stop();
        });
    }

    runtime::ContainerRuntime& runtime_;
    protocol::Multiplexer link_;
    std::map<std::uint32_t, std::unique_ptr<Request>> requests_;  ///< of the thread of serve()
    std::thread ender_;
};

}  // namespace

void serve_agent(runtime::ContainerRuntime& runtime, int in, int out) { Agent(runtime, in, out).serve(); }

}  // namespace locald::backends
