#include "core/base/sha256.hpp"

#include <openssl/evp.h>

#include <array>
#include <new>

#include "core/base/error.hpp"

namespace locald {

struct Sha256::Context {
    EVP_MD_CTX* raw = EVP_MD_CTX_new();
    Context() {
        if (raw == nullptr) throw std::bad_alloc();
    }
    ~Context() { EVP_MD_CTX_free(raw); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
    if (EVP_DigestInit_ex(context_->raw, EVP_sha256(), nullptr) != 1) {
        throw Error(ErrorKind::system, "start SHA-256: OpenSSL refused the algorithm")
            .with_remedy("check the OpenSSL configuration of this host");
    }
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_->raw, bytes.data(), bytes.size()) != 1) {
        throw Error(ErrorKind::system, "SHA-256: OpenSSL failed to take more bytes");
    }
}

Digest Sha256::finish() {
    std::array<std::byte, 32> raw{};
    unsigned length = 0;
    if (EVP_DigestFinal_ex(context_->raw, reinterpret_cast<unsigned char*>(raw.data()), &length) != 1 ||
        length != raw.size()) {
        throw Error(ErrorKind::system, "SHA-256: OpenSSL failed to finish");
    }
    return Digest::from_sha256(raw);
}

Digest sha256_of(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return hash.finish();
}

}  // namespace locald
