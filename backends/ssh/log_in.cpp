#include "backends/ssh/log_in.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include "backends/hosts/fingerprint.hpp"
#include "backends/ssh/key_agent.hpp"
#include "backends/ssh/library.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

constexpr const char* stage = "authentication";

/// What the library's callback is about.
struct Signing {
    KeyAgent& agent;
    const AgentKey& key;
    std::optional<Error> error;
};

int sign(LIBSSH2_SESSION*, unsigned char** signature, std::size_t* size, const unsigned char* data,
         std::size_t data_size, void** abstract) noexcept {
    auto& signing = *static_cast<Signing*>(*abstract);
    try {
        const auto made = signing.agent.sign(signing.key, {reinterpret_cast<const char*>(data), data_size});
        *signature = static_cast<unsigned char*>(std::malloc(made.size()));  // the library frees it
        if (*signature == nullptr) return -1;
        std::memcpy(*signature, made.data(), made.size());
        *size = made.size();
        return 0;
    } catch (const Error& e) {
        signing.error = e;
        return -1;
    } catch (const std::exception&) {
        return -1;
    }
}

/// The fingerprint of a file like id_ed25519.pub; empty when it is none.
std::string fingerprint_in(const std::string& path) {
    std::ifstream file(path);
    std::string type, key;
    if (!(file >> type >> key) || !key.starts_with("AAAA")) return {};
    return fingerprint_of_base64(key);
}

void append(std::string& list, const std::string& what) { list.append(list.empty() ? "" : ", ").append(what); }

/// The keys that libssh2 can ask an agent to sign with: the signatures of the others have parts that it does not send.
bool can_sign(const std::string& type) { return !type.starts_with("sk-") && type.find("-cert-v") == std::string::npos; }

/// One after the other until the server has had enough.
class Attempts {
public:
    Attempts(LIBSSH2_SESSION* session, Opening& opening, const Login& login)
        : session_(session), opening_(opening), login_(login) {}

    bool by_agent() {
        std::optional<KeyAgent> agent;
        std::vector<AgentKey> keys;
        try {
            agent.emplace(login_.agent, opening_.end());
            keys = agent->keys();
        } catch (const Error& e) {
            untried_ = e.message();
            remedy_ = e.remedy();
            return false;
        }
        choose(keys);
        return std::any_of(keys.begin(), keys.end(),
                           [&](const AgentKey& key) { return !gone_ && by_agent_key(*agent, key); });
    }

    bool by_file(const std::string& file) {
        // A late agent is told by its own words.
        const bool is_late = std::chrono::steady_clock::now() >= opening_.end();
        if (gone_ || is_late || ::access(file.c_str(), R_OK) != 0) return false;
        // The public half, which says which of the agent's keys is meant.
        if (!login_.agent.empty() && !fingerprint_in(file).empty()) return false;
        const int result = opening_.until_done(stage, [&] {
            return libssh2_userauth_publickey_fromfile_ex(session_, login_.user.c_str(),
                                                          static_cast<unsigned>(login_.user.size()), nullptr,
                                                          file.c_str(), nullptr);
        });
        if (result == 0) return true;
        failed(result, file, is_rsa_key(file));
        return false;
    }

    /// @param offered  the ways to log in that the server has
    [[noreturn]] void fail(const std::string& offered) const {
        // It did not refuse us where it said nothing about a key. After too many keys it hangs up.
        if (!refused_ && (gone_ || opening_.hung_up())) {
            opening_.fail(ErrorKind::unavailable, stage, "the server hung up");
        }
        std::string why = tried_.empty() ? "there is no key to try" : "the server refused " + tried_;
        if (gone_ && !login_.agent.empty()) why += " and hung up";
        if (!untried_.empty()) why += "; " + untried_;
        std::string remedy = remedy_.empty() ? "" : remedy_ + "; ";
        remedy += "the server takes: " + (offered.empty() ? std::string("nothing") : offered);
        if (login_.agent.empty()) {
            remedy +=
                "; name a key without a passphrase by IdentityFile in ~/.ssh/config, or have ssh-agent asked "
                "(`locald host add --ssh-agent`)";
        } else if (gone_) {
            remedy += "; it takes so many tries and no more: name the right key by --identity KEY.pub";
        }
        remedy += "; put the key's public half into the other side's ~/.ssh/authorized_keys";
        if (!rsa_.empty()) {
            remedy +=
                "; " + rsa_ + " is an RSA key, with which " + ssh_library() +
                " signs by SHA-1 alone, and servers refuse that: make one of ed25519 (`ssh-keygen -t ed25519`), or "
                "use locald with libssh2 1.11";
        }
        try {
            opening_.fail(ErrorKind::denied, std::string(stage) + " as " + login_.user, why);
        } catch (Error& e) {
            throw e.with_remedy(std::move(remedy));
        }
    }

private:
    /// Leaves out what cannot be meant; what will hardly do comes last, as every try counts.
    void choose(std::vector<AgentKey>& keys) {
        if (keys.empty()) {
            untried_ = "ssh-agent has no key";
            remedy_ = "give it one by ssh-add";
        }
        if (login_.agent_keys_of_files) {
            std::vector<std::string> meant;
            for (const auto& file : login_.identity_files) {
                for (const auto& path : {file, file + ".pub"}) meant.push_back(fingerprint_in(path));
            }
            std::string others;
            std::erase_if(keys, [&](const AgentKey& key) {
                const auto fingerprint = fingerprint_of(key.blob);
                if (std::find(meant.begin(), meant.end(), fingerprint) != meant.end()) return false;
                append(others, fingerprint);
                return true;
            });
            if (keys.empty() && !others.empty()) {
                untried_ =
                    "ssh-agent has " + others + " and not the key of " + login_.identity_files.front() + "[.pub]";
            }
        }
        std::erase_if(keys, [&](const AgentKey& key) {
            if (can_sign(key.type())) return false;
            append(untried_, fingerprint_of(key.blob) + " of ssh-agent is of the kind " + json_quote(key.type()) +
                                 ", with which libssh2 does not log in");
            return true;
        });
        if (ssh_library_has_sha2_rsa()) return;
        std::stable_partition(keys.begin(), keys.end(), [](const AgentKey& key) { return key.type() != "ssh-rsa"; });
    }

    bool by_agent_key(KeyAgent& agent, const AgentKey& key) {
        Signing signing{agent, key, {}};
        void* about = &signing;
        const int result = opening_.until_done(stage, [&] {
            return libssh2_userauth_publickey(session_, login_.user.c_str(),
                                              reinterpret_cast<const unsigned char*>(key.blob.data()), key.blob.size(),
                                              sign, &about);
        });
        if (result == 0) return true;
        const auto shown = fingerprint_of(key.blob) + " " + json_quote(key.comment) + " of ssh-agent";
        if (signing.error) {
            append(untried_, shown + ": " + signing.error->message());
            remedy_ = signing.error->remedy();
        } else {
            failed(result, shown, key.type() == "ssh-rsa");
        }
        return false;
    }

    void failed(int result, const std::string& key, bool is_rsa) {
        const auto words = opening_.last_words();
        const bool no = result == LIBSSH2_ERROR_AUTHENTICATION_FAILED;
        refused_ |= no;
        gone_ |= words.starts_with("Waiting for");  // so it says that the connection ended
        append(tried_, no ? key : key + " (" + words + ")");
        if (is_rsa && rsa_.empty() && !ssh_library_has_sha2_rsa()) rsa_ = key;
    }

    LIBSSH2_SESSION* session_;
    Opening& opening_;
    const Login& login_;
    std::string tried_, untried_, remedy_;  ///< for the error: keys, why others were not tried, and what to do
    std::string rsa_;                       ///< one that could do with another library
    bool refused_ = false;                  ///< the server said no to a key
    bool gone_ = false;                     ///< it says nothing any more
};

}  // namespace

void log_in(LIBSSH2_SESSION* session, Opening& opening, const Login& login) {
    const char* methods = opening.until_done(stage, [&] {
        return static_cast<const char*>(
            libssh2_userauth_list(session, login.user.c_str(), static_cast<unsigned>(login.user.size())));
    });
    if (methods == nullptr && libssh2_userauth_authenticated(session) != 0) return;
    const std::string offered = methods != nullptr ? methods : "";
    Attempts attempts(session, opening, login);
    if (!login.agent.empty() && attempts.by_agent()) return;
    for (const auto& file : login.identity_files) {
        if (attempts.by_file(file)) return;
    }
    attempts.fail(offered);
}

}  // namespace locald::backends
