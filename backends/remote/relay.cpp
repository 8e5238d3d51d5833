#include "backends/remote/relay.hpp"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "backends/protocol/values.hpp"
#include "backends/remote/bad_agent.hpp"
#include "backends/remote/local_socket.hpp"
#include "core/base/text.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::Frame;
using protocol::FrameType;
using protocol::Json;

// An agent that is not read, or a client, gets no more than this from us at a time: whoever sends waits meanwhile.
constexpr std::size_t outgoing_most = 4U << 20U;

/// The last message of a request begins so.
bool is_last(const Frame& frame) {
    if (frame.type != FrameType::control) return false;
    for (const std::string_view begin : {R"({"result":)", R"({"error":)", R"({"exit":)"}) {
        if (frame.payload.starts_with(begin)) return true;
    }
    return false;
}

void append(std::string& out, std::uint32_t stream, const Json& message) {
    protocol::append_frame(out, FrameType::control, stream, protocol::dump(message));
}

}  // namespace

Relay::Relay(int agent, int listener, std::string host, const protocol::LinkTiming& timing)
    : agent_(agent), listener_(listener), host_(std::move(host)), name_(without_query(host_)), timing_(timing) {
    host::set_non_blocking(agent_);
    host::set_non_blocking(listener_);
}

Relay::~Relay() {
    for (const auto& client : clients_) ::close(client->handle);
    ::close(agent_);
    ::close(listener_);
}

bool Relay::flush(int handle, std::string& outgoing) {
    std::size_t sent = 0;
    while (sent < outgoing.size()) {
        const auto put = ::send(handle, outgoing.data() + sent, outgoing.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (put < 0) return false;
        sent += static_cast<std::size_t>(put);
    }
    outgoing.erase(0, sent);
    return true;
}

std::optional<Error> Relay::wait_for_greeting(std::chrono::milliseconds most) {
    const auto end = Clock::now() + most;
    while (greeting_.empty() && !ends_) {
        if (Clock::now() >= end) return Error(ErrorKind::unavailable, name_ + ": the agent said nothing");
        step(most);
    }
    return lost_;
}

void Relay::run(std::chrono::milliseconds idle) {
    append(to_agent_, 0, Json{{"lease", timing_.lease.count()}});
    while (step(idle)) {
    }
}

bool Relay::step(std::chrono::milliseconds idle) {
    std::vector<pollfd> entries{{listener_, POLLIN, 0}, {agent_, 0, 0}};
    const bool clients_full = std::any_of(clients_.begin(), clients_.end(),
                                          [](const auto& client) { return client->outgoing.size() > outgoing_most; });
    entries[1].events = static_cast<short>((clients_full ? 0 : POLLIN) | (to_agent_.empty() ? 0 : POLLOUT));
    for (const auto& client : clients_) {
        const short in = to_agent_.size() > outgoing_most ? 0 : POLLIN;
        entries.push_back({client->handle, static_cast<short>(in | (client->outgoing.empty() ? 0 : POLLOUT)), 0});
    }
    const auto rest = std::min<std::chrono::milliseconds>(1s, timing_.ping / 2);
    ::poll(entries.data(), entries.size(), static_cast<int>(rest.count()));
    if (entries[1].revents != 0) read_agent();
    const std::size_t known = clients_.size();
    for (std::size_t i = 0; i < known; ++i) {
        if ((entries[2 + i].revents & ~POLLOUT) != 0) read_client(*clients_[i]);
    }
    if (entries[0].revents != 0) accept_client();
    const auto now = Clock::now();
    if (now - pinged_ >= timing_.ping) {
        append(to_agent_, 0, Json{{"ping", true}});
        pinged_ = now;
    }
    if (clients_full) heard_ = now;  // who is not listened to is not silent
    if (now - heard_ >= timing_.silence) {
        lose(Error(ErrorKind::lost,
                   name_ + ": the other side said nothing for " + std::to_string(timing_.silence / 1s) + " seconds"));
    }
    // What it still says is read first: a closed link is seen there.
    flush(agent_, to_agent_);
    for (const auto& client : clients_) {
        if (!flush(client->handle, client->outgoing)) client->gone = true;
    }
    for (const auto& client : clients_) {
        if (client->gone) drop(*client);
    }
    std::erase_if(clients_, [](const auto& client) { return client->gone; });
    if (!clients_.empty()) used_ = now;
    return !ends_ && now - used_ < idle;
}

void Relay::accept_client() {
    const int handle = accept_own_user(listener_);
    if (handle < 0) return;
    auto client = std::make_unique<Client>();
    client->handle = handle;
    client->outgoing = greeting_;
    clients_.push_back(std::move(client));
}

void Relay::read_client(Client& client) {
    std::array<char, std::size_t(128) * 1024> bytes;
    const auto got = ::recv(client.handle, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        client.gone = true;
        return;
    }
    try {
        client.reader.push({bytes.data(), static_cast<std::size_t>(got)});
        for (;;) {
            const auto frame = client.reader.next();
            if (!frame) break;
            take_from_client(client, *frame);
        }
    } catch (const Error&) {
        client.gone = true;  // no client of ours says that
    }
}

void Relay::take_from_client(Client& client, const Frame& frame) {
    if (frame.stream == 0) {
        take_own(client, frame);
    } else {
        pass_on(client, frame);
    }
}

/// What a client says about the connection is for us: the agent has one client.
void Relay::take_own(Client& client, const Frame& frame) {
    if (frame.type != FrameType::control) return;
    const auto message = protocol::parse(frame.payload);
    if (message.contains("ping")) append(client.outgoing, 0, Json{{"pong", true}});
    if (message.contains("status")) {
        const auto busy = clients_.size() - 1;
        append(client.outgoing, 0, Json{{"status", {{"host", host_}, {"clients", busy}, {"pid", ::getpid()}}}});
    }
    if (message.contains("disconnect")) {
        lose(Error(ErrorKind::lost, name_ + ": `locald host disconnect` ended the connection"));
    }
}

void Relay::pass_on(Client& client, const Frame& frame) {
    const auto [found, is_new] = client.streams.try_emplace(frame.stream, next_);
    if (is_new) owners_[next_++] = {&client, frame.stream};
    protocol::append_frame(to_agent_, frame.type, found->second, frame.payload);
}

void Relay::read_agent() {
    std::array<char, std::size_t(128) * 1024> bytes;
    const auto got = ::read(agent_, bytes.data(), bytes.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        lose(Error(ErrorKind::lost, name_ + ": the connection was closed by the other side"));
        return;
    }
    heard_ = Clock::now();
    try {
        from_agent_.push({bytes.data(), static_cast<std::size_t>(got)});
        for (;;) {
            const auto frame = from_agent_.next();
            if (!frame) break;
            take_from_agent(*frame);
        }
    } catch (const Error& e) {
        lose(explain_link_end(e, name_));
    }
}

void Relay::take_from_agent(const Frame& frame) {
    if (frame.stream != 0) return pass_back(frame);
    if (!greeting_.empty() || !frame.payload.starts_with(R"({"hello":)")) return;
    // Nothing else that stands beside it, for it goes to every client.
    protocol::append_frame(greeting_, frame.type, 0,
                           protocol::dump(Json{{"hello", protocol::parse(frame.payload).at("hello")}}));
    for (const auto& client : clients_) client->outgoing += greeting_;
}

void Relay::pass_back(const Frame& frame) {
    const auto found = owners_.find(frame.stream);
    if (found == owners_.end()) return;
    const Owner owner = found->second;
    if (owner.client != nullptr)
        protocol::append_frame(owner.client->outgoing, frame.type, owner.stream, frame.payload);
    if (!is_last(frame)) return;
    if (owner.client != nullptr) owner.client->streams.erase(owner.stream);
    owners_.erase(found);
}

void Relay::drop(Client& client) {
    for (const auto& [theirs, ours] : client.streams) {
        append(to_agent_, ours, Json{{"do", "abandon"}});
        owners_[ours].client = nullptr;
    }
    ::close(client.handle);
}

void Relay::lose(const Error& why) {
    if (std::exchange(ends_, true)) return;
    lost_ = why;
    for (const auto& client : clients_) append(client->outgoing, 0, Json{{"lost", protocol::write_error(why)}});
}

}  // namespace locald::backends
