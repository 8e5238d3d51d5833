#include "backends/ssh/session.hpp"

#include <libssh2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "backends/hosts/fingerprint.hpp"
#include "backends/ssh/engine.hpp"
#include "backends/ssh/library.hpp"
#include "backends/ssh/log_in.hpp"
#include "backends/ssh/opening.hpp"
#include "core/host/pipe.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// AES alone: chacha20 of 1.11 is read before the server is known (CVE-2026-55200), and 16-byte blocks seldom rekey.
constexpr const char* ciphers = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";

void begin_library() {
    // Not thread-safe itself.
    static const int result = libssh2_init(0);
    if (result != 0) throw Error(ErrorKind::system, "start libssh2: error " + std::to_string(result));
}

std::string type_of(int number) {
    for (const auto& kind : host_key_kinds()) {
        if (kind.number == number) return kind.name;
    }
    return "unknown";
}

/// Asks for the names of `wish`, best first, that this library knows. It would cut the others out itself, and does so
/// by copying bytes onto themselves (1.10), or refuses the whole list, by version.
void prefer(LIBSSH2_SESSION* session, int method, std::string_view wish) {
    const char** names = nullptr;
    const int count = libssh2_session_supported_algs(session, method, &names);
    std::string list;
    while (count > 0 && !wish.empty()) {
        const auto name = wish.substr(0, wish.find(','));
        wish.remove_prefix(std::min(wish.size(), name.size() + 1));
        if (std::find(names, names + count, name) == names + count) continue;
        if (!list.empty()) list += ',';
        list += name;
    }
    if (names != nullptr) libssh2_free(session, names);
    if (list.empty() || libssh2_session_method_pref(session, method, list.c_str()) != 0)
        throw Error(ErrorKind::unavailable, "choose the algorithms of SSH: " + ssh_library() + " has none of ours")
            .with_remedy("install libssh2 1.10 or later, built with AES");
}

void agree(LIBSSH2_SESSION* session, const Login& login) {
    for (const int direction : {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC}) prefer(session, direction, ciphers);
    prefer(session, LIBSSH2_METHOD_HOSTKEY, host_key_wish(login.host_key_types));
}

void shake_hands(LIBSSH2_SESSION* session, int socket, Opening& opening) {
    const int result = opening.until_done("key exchange", [&] { return libssh2_session_handshake(session, socket); });
    if (result == 0) return;
    // By this one number it says that both have nothing in common.
    if (opening.has_banner() && result != LIBSSH2_ERROR_KEX_FAILURE) {
        opening.fail(ErrorKind::unavailable, "key exchange",
                     opening.hung_up() ? "the server hung up"
                                       : opening.last_words() + " (error " + std::to_string(result) + ")");
    }
    switch (result) {
        case LIBSSH2_ERROR_BANNER_RECV:
        case LIBSSH2_ERROR_BANNER_SEND:
        case LIBSSH2_ERROR_SOCKET_DISCONNECT:
        case LIBSSH2_ERROR_SOCKET_RECV:
            opening.fail(ErrorKind::unavailable, "greeting",
                         "what answers there is no SSH server, or it hung up (" + opening.last_words() + ")");
        default:
            break;
    }
    try {
        opening.fail(ErrorKind::unsupported, "key exchange", opening.last_words());
    } catch (Error& e) {
        throw e.with_remedy(
            ssh_library() +
            (ssh_library_has_sha2_rsa()
                 ? " speaks AES-CTR and AES-GCM; allow one of them in the server's Ciphers and MACs"
                 : " speaks AES-CTR with hmac-sha2-256 and -512 (no ETM, no AES-GCM) and knows servers by ed25519 and "
                   "ecdsa keys (no RSA with SHA-2): give the server such a key and allow these in its Ciphers and "
                   "MACs, or use locald with libssh2 1.11"));
    }
}

HostKey host_key(LIBSSH2_SESSION* session) {
    std::size_t size = 0;
    int type = 0;
    const char* blob = libssh2_session_hostkey(session, &size, &type);
    HostKey key;
    if (blob != nullptr) key.blob.assign(blob, size);
    key.type = type_of(type);
    key.fingerprint = fingerprint_of(key.blob);
    return key;
}

}  // namespace

struct SshSession::Impl {
    LIBSSH2_SESSION* session = nullptr;
    int socket = -1;
    std::string name;
    std::string methods;
    std::unique_ptr<SshEngine> engine;

    ~Impl() {
        engine.reset();
        if (session != nullptr) {
            libssh2_session_disconnect(session, "done");
            // It frees nothing while it still has something to say or to hear.
            ::shutdown(socket, SHUT_RDWR);
            constexpr int tries_most = 1000;
            for (int i = 0; i < tries_most && libssh2_session_free(session) == LIBSSH2_ERROR_EAGAIN; ++i) {
            }
        }
        if (socket >= 0) ::close(socket);
    }
};

SshSession::SshSession(int socket, const std::string& name, const Login& login, std::chrono::milliseconds most)
    : impl_(std::make_unique<Impl>()) {
    impl_->socket = socket;
    impl_->name = name;
    begin_library();
    host::set_non_blocking(socket);
    auto* session = impl_->session = libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr);
    if (session == nullptr) throw Error(ErrorKind::system, "start an SSH session: out of memory");
    libssh2_session_set_blocking(session, 0);
    Opening opening(session, socket, impl_->name, most);
    agree(session, login);
    shake_hands(session, socket, opening);
    if (login.check_host_key) {
        try {
            login.check_host_key(host_key(session));
        } catch (Error& e) {
            throw e.add_context("connect to " + name + ": host key");
        }
    }
    log_in(session, opening, login);
    for (const int method :
         {LIBSSH2_METHOD_KEX, LIBSSH2_METHOD_HOSTKEY, LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_MAC_CS}) {
        const char* chosen = libssh2_session_methods(session, method);
        impl_->methods += (impl_->methods.empty() ? "" : " ") + std::string(chosen != nullptr ? chosen : "none");
    }
    impl_->engine = std::make_unique<SshEngine>(session, socket, name);
}

SshSession::~SshSession() = default;

bool SshSession::lost() const noexcept { return impl_->engine->lost(); }
std::string SshSession::methods() const { return impl_->methods; }

SshChannel::SshChannel() = default;
SshChannel::~SshChannel() {
    if (handle_ >= 0) ::close(handle_);
}
SshChannel::SshChannel(SshChannel&& other) noexcept
    : shared_(std::move(other.shared_)), handle_(std::exchange(other.handle_, -1)) {}
SshChannel& SshChannel::operator=(SshChannel&& other) noexcept {
    if (handle_ >= 0) ::close(handle_);
    shared_ = std::move(other.shared_);
    handle_ = std::exchange(other.handle_, -1);
    return *this;
}
int SshChannel::handle() const noexcept { return handle_; }
int SshChannel::release() noexcept { return std::exchange(handle_, -1); }

std::optional<RemoteExit> SshChannel::wait(std::chrono::milliseconds most) {
    std::unique_lock lock(shared_->mutex);
    if (!shared_->changed.wait_for(lock, most, [this] { return shared_->closed; })) return std::nullopt;
    return shared_->exit;
}

SshChannel SshSession::open(const std::string& command, const std::string& host, unsigned port,
                            std::chrono::milliseconds most) {
    const auto ends = host::make_socket_pair();
    SshChannel channel;
    channel.handle_ = ends[0];
    channel.shared_ = std::make_shared<SshChannel::Shared>();
    impl_->engine->open({command, host, static_cast<int>(port), ends[1], channel.shared_, false});
    auto& shared = *channel.shared_;
    std::unique_lock lock(shared.mutex);
    if (!shared.changed.wait_for(lock, most, [&] { return shared.opened || shared.error; })) {
        throw Error(ErrorKind::unavailable, "open a channel to " + impl_->name + ": no answer in time");
    }
    if (shared.error) throw Error(*shared.error);
    return channel;
}

SshChannel SshSession::exec(const std::string& command, std::chrono::milliseconds most) {
    return open(command, {}, 0, most);
}

SshChannel SshSession::connect(const std::string& host, unsigned port, std::chrono::milliseconds most) {
    return open({}, host, port, most);
}

void SshSession::forward(int socket, const std::string& host, unsigned port) {
    impl_->engine->open({{}, host, static_cast<int>(port), socket, std::make_shared<SshChannel::Shared>(), true});
}

void SshSession::finish_forwards(std::chrono::milliseconds silence_most) {
    constexpr auto look_every = 5ms;
    auto before = impl_->engine->moved();
    auto since = Clock::now();
    while (impl_->engine->talks() && Clock::now() - since < silence_most) {
        std::this_thread::sleep_for(look_every);
        if (const auto now = impl_->engine->moved(); now != before) {
            before = now;
            since = Clock::now();
        }
    }
}

SshSession::Captured SshSession::capture(const std::string& command, std::string_view input,
                                         std::chrono::milliseconds most) {
    constexpr std::size_t out_most = 1U << 20U;
    const auto end = Clock::now() + most;
    auto channel = exec(command, most);
    Captured captured;
    std::array<char, 16384> bytes;
    bool wrote_all = false;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        if (left <= 0ms) throw Error(ErrorKind::unavailable, "run a command on " + impl_->name + ": it took too long");
        if (input.empty() && !std::exchange(wrote_all, true)) ::shutdown(channel.handle(), SHUT_WR);
        pollfd entry{channel.handle(), static_cast<short>(POLLIN | (input.empty() ? 0 : POLLOUT)), 0};
        ::poll(&entry, 1, static_cast<int>(left.count()));
        if ((entry.revents & POLLOUT) != 0) {
            const auto put = ::send(channel.handle(), input.data(), input.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (put > 0) input.remove_prefix(static_cast<std::size_t>(put));
            if (put < 0 && errno != EAGAIN) input = {};
        }
        if ((entry.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
        const auto got = ::recv(channel.handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got <= 0) break;
        captured.out.append(bytes.data(), static_cast<std::size_t>(got));
        if (captured.out.size() > out_most) {
            throw Error(ErrorKind::corrupt, "run a command on " + impl_->name + ": it printed more than 1 MiB");
        }
    }
    if (auto exit = channel.wait(std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()))) {
        captured.exit = std::move(*exit);
    }
    return captured;
}

std::string shell_word(std::string_view text) {
    std::string word = "'";
    for (const char c : text) {
        if (c == '\0' || c == '\n') {
            throw Error(ErrorKind::invalid, "pass a word to a shell of another host: it holds a line end or a NUL");
        }
        if (c == '\'') {
            word += "'\\''";
        } else {
            word += c;
        }
    }
    return word + "'";
}

}  // namespace locald::backends
