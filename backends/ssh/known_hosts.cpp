#include "backends/ssh/known_hosts.hpp"

#include <libssh2.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "backends/hosts/fingerprint.hpp"
#include "backends/ssh/library.hpp"

namespace locald::backends {

namespace {

/// libssh2's list, which needs a session for its allocator.
class List {
public:
    explicit List(const std::vector<std::string>& files)
        : session_(libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr)),
          hosts_(session_ != nullptr ? libssh2_knownhost_init(session_) : nullptr) {
        if (hosts_ == nullptr) throw Error(ErrorKind::system, "read known hosts: out of memory");
        for (const auto& path : files) {
            std::ifstream file(path);
            // Line by line: at one that libssh2 does not understand it would not look at those after it.
            for (std::string line; std::getline(file, line);) read(line);
        }
    }
    ~List() {
        libssh2_knownhost_free(hosts_);
        libssh2_session_free(session_);
    }
    List(const List&) = delete;
    List& operator=(const List&) = delete;

    /// Whether a `@revoked` line has this key, for whatever host: nobody should show it any more.
    bool is_revoked(const HostKey& key) const {
        return std::find(revoked_.begin(), revoked_.end(), key.fingerprint) != revoked_.end();
    }

    int check(const std::string& host, unsigned port, std::string_view key, int type, libssh2_knownhost** found) const {
        return libssh2_knownhost_checkp(hosts_, host.c_str(), static_cast<int>(port), key.data(), key.size(),
                                        LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | type, found);
    }

private:
    void read(const std::string& line) {
        if (!line.starts_with('@')) {
            libssh2_knownhost_readline(hosts_, line.data(), line.size(), LIBSSH2_KNOWNHOST_FILE_OPENSSH);
            return;
        }
        std::istringstream words(line);
        std::string marker, names, type, key;
        // The other marker is of certificates, which libssh2 lacks.
        if (words >> marker >> names >> type >> key && marker == "@revoked") {
            revoked_.push_back(fingerprint_of_base64(key));
        }
    }

    LIBSSH2_SESSION* session_;
    LIBSSH2_KNOWNHOSTS* hosts_;
    std::vector<std::string> revoked_;
};

std::string joined(const std::vector<std::string>& files) {
    std::string text;
    for (const auto& file : files) text += (text.empty() ? "" : " or ") + file;
    return text;
}

}  // namespace

KnownHosts::KnownHosts(std::vector<std::string> files, std::string host, unsigned port)
    : files_(std::move(files)), host_(std::move(host)), port_(port) {}

std::vector<std::string> KnownHosts::types() const {
    const List list(files_);
    std::vector<std::string> types;
    for (const auto& kind : host_key_kinds()) {
        libssh2_knownhost* found = nullptr;
        // Another key of the same type is a mismatch: so there is one.
        if (list.check(host_, port_, "x", kind.known_hosts_bit, &found) == LIBSSH2_KNOWNHOST_CHECK_MISMATCH)
            types.emplace_back(kind.name);
    }
    return types;
}

void KnownHosts::check(const HostKey& key) const {
    const List list(files_);
    libssh2_knownhost* found = nullptr;
    int bit = LIBSSH2_KNOWNHOST_KEY_UNKNOWN;
    for (const auto& kind : host_key_kinds()) {
        if (key.type == kind.name) bit = kind.known_hosts_bit;
    }
    if (list.is_revoked(key)) {
        throw Error(ErrorKind::denied, "it is revoked: " + key.type + " " + key.fingerprint +
                                           " stands behind @revoked in " + joined(files_) +
                                           "; whoever shows it may not be the server")
            .with_remedy("ask whoever runs it for its new key");
    }
    switch (list.check(host_, port_, key.blob, bit, &found)) {
        case LIBSSH2_KNOWNHOST_CHECK_MATCH:
            return;
        case LIBSSH2_KNOWNHOST_CHECK_MISMATCH: {
            const auto known =
                found != nullptr && found->key != nullptr ? fingerprint_of_base64(found->key) : "another one";
            throw Error(ErrorKind::denied, "it is not the one that is known: the server shows " + key.type + " " +
                                               key.fingerprint + ", known is " + known +
                                               "; somebody may be listening, or the server was installed anew")
                .with_remedy("ask whoever runs it; if that is right, take the old key out with `ssh-keygen -R " +
                             host_ + "`");
        }
        default:
            throw Error(ErrorKind::denied,
                        "it is not known: " + key.type + " " + key.fingerprint + " is in none of " + joined(files_))
                .with_remedy(
                    "compare the fingerprint with the server's own, then run `ssh` to it once, or `locald host add "
                    "NAME "
                    "URL --host-key " +
                    key.fingerprint + "`");
    }
}

void check_pinned(const HostKey& key, const std::string& pinned) {
    if (pinned == key.fingerprint || pinned == key.type + " " + key.fingerprint) return;
    throw Error(ErrorKind::denied, "it is not the one that this host was given: the server shows " + key.type + " " +
                                       key.fingerprint + ", known is " + pinned +
                                       "; somebody may be listening, or the server was installed anew")
        .with_remedy("ask whoever runs it; if that is right, give the host the new one: `locald host add --replace`");
}

}  // namespace locald::backends
