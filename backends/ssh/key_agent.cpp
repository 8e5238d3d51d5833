#include "backends/ssh/key_agent.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "backends/remote/local_socket.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

// The kinds of messages.
constexpr char agent_failure = 5, request_identities = 11, identities_answer = 12, sign_request = 13,
               sign_response = 14;
constexpr std::uint32_t rsa_sha2_256 = 2, rsa_sha2_512 = 4;
// As OpenSSH's own client has it.
constexpr std::uint32_t answer_most = 256U << 10U;
constexpr std::size_t number_size = 4;

std::string number(std::size_t value) {
    std::string bytes;
    for (unsigned shift = 32; shift > 0; shift -= 8) bytes += static_cast<char>(value >> (shift - 8) & 0xFFU);
    return bytes;
}

std::string sized(std::string_view text) { return number(text.size()).append(text); }

/// RFC 4251, section 5.
class Reader {
public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}

    char byte() { return take(1).front(); }
    std::uint32_t number() {
        std::uint32_t value = 0;
        for (const char c : take(number_size)) value = value << 8U | static_cast<unsigned char>(c);
        return value;
    }
    std::string_view text() { return take(number()); }

private:
    std::string_view take(std::size_t size) {
        if (size > rest_.size()) throw Error(ErrorKind::corrupt, "the bytes end too early");
        const auto taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

    std::string_view rest_;
};

std::string path_of(const std::string& place) {
    if (!place.starts_with('$')) return place;
    const char* path = std::getenv(place.c_str() + 1);
    if (path != nullptr && *path != '\0') return path;
    throw Error(ErrorKind::not_found, "ssh-agent: " + place.substr(1) + " is not set")
        .with_remedy(
            "start ssh-agent and give it a key: eval \"$(ssh-agent)\"; ssh-add; or name its socket by IdentityAgent in "
            "~/.ssh/config");
}

}  // namespace

std::string AgentKey::type() const { return std::string(Reader(blob).text()); }

std::vector<AgentKey> parse_agent_keys(std::string_view answer) {
    Reader reader(answer);
    if (const char kind = reader.byte(); kind != identities_answer) {
        throw Error(kind == agent_failure ? ErrorKind::denied : ErrorKind::corrupt,
                    kind == agent_failure ? "it does not say which keys it has" : "what answers there is no ssh-agent");
    }
    std::vector<AgentKey> keys;
    for (auto left = reader.number(); left > 0; --left) {
        AgentKey key{std::string(reader.text()), std::string(reader.text())};
        key.type();
        keys.push_back(std::move(key));
    }
    return keys;
}

std::string signature_kind_of(std::string_view request) {
    Reader reader(request);
    reader.text();  // the session's id
    reader.byte();
    for (int words = 0; words < 3; ++words) reader.text();  // the user, the service, "publickey"
    reader.byte();
    return std::string(reader.text());
}

std::string parse_agent_signature(std::string_view answer, const std::string& kind) {
    Reader reader(answer);
    if (reader.byte() != sign_response) throw Error(ErrorKind::denied, "it does not sign");
    Reader signature(reader.text());
    if (const auto made = signature.text(); made != kind) {
        throw Error(ErrorKind::denied, "it signs by " + json_quote(made) + ", not by " + kind);
    }
    return std::string(signature.text());
}

KeyAgent::KeyAgent(const std::string& place, Deadline end) : path_(path_of(place)), end_(end) {
    try {
        socket_.reset(reach_listener(path_));
    } catch (Error& e) {
        throw e.add_context("ssh-agent")
            .with_remedy(e.kind() == ErrorKind::denied
                             ? "use an agent that runs as you"
                             : "does it still run? start one: eval \"$(ssh-agent)\"; ssh-add");
    }
    host::set_non_blocking(socket_.get());
}

std::vector<AgentKey> KeyAgent::keys() {
    return in_step("ssh-agent at " + path_, [&] { return parse_agent_keys(ask(std::string(1, request_identities))); });
}

std::string KeyAgent::sign(const AgentKey& key, std::string_view data) {
    return in_step("ssh-agent at " + path_, [&] {
        const auto kind = signature_kind_of(data);
        const auto flags = kind == "rsa-sha2-256" ? rsa_sha2_256 : kind == "rsa-sha2-512" ? rsa_sha2_512 : 0;
        return parse_agent_signature(ask(std::string(1, sign_request) + sized(key.blob) + sized(data) + number(flags)),
                                     kind);
    });
}

std::string KeyAgent::ask(std::string_view request) {
    auto bytes = sized(request);
    transfer(bytes.data(), bytes.size(), true);
    std::string answer(number_size, '\0');
    transfer(answer.data(), answer.size(), false);
    const auto size = Reader(answer).number();
    if (size == 0 || size > answer_most) throw Error(ErrorKind::corrupt, "what answers there is no ssh-agent");
    answer.assign(size, '\0');
    transfer(answer.data(), answer.size(), false);
    return answer;
}

void KeyAgent::transfer(char* bytes, std::size_t size, bool out) {
    while (size > 0) {
        const auto done =
            out ? ::send(socket_.get(), bytes, size, MSG_NOSIGNAL) : ::recv(socket_.get(), bytes, size, 0);
        if (done > 0) {
            bytes += done;
            size -= static_cast<std::size_t>(done);
            continue;
        }
        if (done == 0) throw Error(ErrorKind::unavailable, "it hung up");
        if (errno != EAGAIN && errno != EINTR) {
            throw Error(ErrorKind::unavailable, "the connection broke: " + errno_text(errno), errno);
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now()).count();
        if (left <= 0) {
            throw Error(ErrorKind::unavailable, "no answer in time")
                .with_remedy("does it wait to be unlocked or for a confirmation?");
        }
        pollfd entry{socket_.get(), static_cast<short>(out ? POLLOUT : POLLIN), 0};
        ::poll(&entry, 1, static_cast<int>(left));
    }
}

}  // namespace locald::backends
