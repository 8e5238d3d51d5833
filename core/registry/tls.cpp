#include "core/registry/tls.hpp"

#include <Poco/Net/IPAddress.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/NetSSL.h>
#include <Poco/Net/SSLException.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/registry/transport.hpp"

namespace locald::registry {
namespace {

/// Why the last handshake of this thread refused a certificate.
thread_local std::string refusal;

/// In place of Poco's own callback, which asks handlers of the whole process: another user of Poco in this process
/// must not be able to make us accept a certificate.
int on_certificate(int good, X509_STORE_CTX* store) {
    if (good == 0) refusal = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    return good;
}

[[noreturn]] void not_trusted(const Origin& origin, const std::string& why) {
    throw Error(ErrorKind::denied, "TLS with " + origin.host_and_port() + ": its certificate is not trusted: " + why)
        .with_remedy(
            "give the authority's certificate as a PEM file (option ca_file, or the environment variable "
            "SSL_CERT_FILE)");
}

}  // namespace

struct Tls::Authorities {
    explicit Authorities(const std::string& ca_file) : store(X509_STORE_new()) {
        if (store == nullptr) throw Error(ErrorKind::system, "set up TLS");
        X509_STORE_set_default_paths(
            store);  // a missing file or directory is no failure: there are just no authorities
        if (ca_file.empty()) return;
        if (::access(ca_file.c_str(), R_OK) != 0) {
            const int err = errno;
            X509_STORE_free(store);
            throw_errno(err, "read certificates from ", ca_file);
        }
        if (X509_STORE_load_file(store, ca_file.c_str()) != 1) {
            X509_STORE_free(store);
            ERR_clear_error();
            throw Error(ErrorKind::invalid, "read certificates from " + ca_file + ": no PEM certificates");
        }
    }
    ~Authorities() { X509_STORE_free(store); }
    Authorities(const Authorities&) = delete;
    Authorities& operator=(const Authorities&) = delete;

    X509_STORE* store;
};

Tls::Tls(std::string ca_file) : ca_file_(std::move(ca_file)) {
    static const bool initialised = [] {
        Poco::Net::initializeSSL();
        return true;
    }();
    static_cast<void>(initialised);
}

Tls::~Tls() = default;

/// A context of its own for every host: OpenSSL then checks the name itself, in the middle of the handshake. Poco
/// compares it afterwards, and passes when the handshake had stopped at a timeout.
Poco::Net::Context::Ptr Tls::context_for(const Origin& origin) {
    const std::lock_guard lock(mutex_);
    Poco::Net::Context::Ptr& context = contexts_[origin.host];
    if (context) return context;
    if (!authorities_) authorities_ = std::make_unique<Authorities>(ca_file_);
    Poco::Net::Context::Params params;
    params.verificationMode = Poco::Net::Context::VERIFY_STRICT;
    params.loadDefaultCAs = false;
    params.cipherList = "HIGH:!aNULL:!eNULL:!MD5:!RC4:!3DES";
    Poco::Net::Context::Ptr made;
    try {
        made = new Poco::Net::Context(Poco::Net::Context::TLS_CLIENT_USE, params);
        made->requireMinimumProtocol(Poco::Net::Context::PROTO_TLSV1_2);
    } catch (const Poco::Exception& e) {
        throw Error(ErrorKind::system, "set up TLS: " + e.displayText());
    }
    SSL_CTX* raw = made->sslContext();
    SSL_CTX_set1_cert_store(raw, authorities_->store);
    X509_VERIFY_PARAM* verify = SSL_CTX_get0_param(raw);
    Poco::Net::IPAddress ignored;
    const bool is_address = Poco::Net::IPAddress::tryParse(origin.host, ignored);
    const int set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(verify, origin.host.c_str())
                               : X509_VERIFY_PARAM_set1_host(verify, origin.host.c_str(), origin.host.size());
    if (set != 1) throw Error(ErrorKind::system, "set up TLS for " + origin.host_and_port());
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, &on_certificate);
    context = made;
    return made;
}

Poco::Net::StreamSocket Tls::start(const Poco::Net::StreamSocket& socket, const Origin& origin) {
    const auto context = context_for(origin);
    refusal.clear();
    try {
        Poco::Net::SecureStreamSocket secure = Poco::Net::SecureStreamSocket::attach(socket, origin.host, context);
        // attach may come back from a handshake that is not done; this ends it or throws
        if (secure.completeHandshake() != 1) throw NoTls(ErrorKind::unavailable, "no handshake");
        if (!secure.havePeerCertificate()) not_trusted(origin, "the peer shows no certificate");
        secure.verifyPeerCertificate(origin.host);
        return secure;
    } catch (const NoTls& e) {
        throw NoTls(ErrorKind::unavailable, "TLS with " + origin.host_and_port() + ": " + e.message());
    } catch (const Poco::Net::CertificateValidationException& e) {
        not_trusted(origin, refusal.empty() ? e.displayText() : refusal);
    } catch (const Poco::Exception& e) {
        if (!refusal.empty()) not_trusted(origin, refusal);
        NoTls error(ErrorKind::unavailable, "TLS with " + origin.host_and_port() + ": " + e.displayText());
        error.with_remedy("name the registry as one to speak plain http to (option plain_http) if it has no TLS");
        throw error;  // not in one expression with with_remedy, which would throw a plain Error
    }
}

}  // namespace locald::registry
