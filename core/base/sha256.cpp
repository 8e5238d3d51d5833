// The low-level calls on purpose: EVP loads OpenSSL's providers and configuration at its first use, 0.9 ms of a program
// that lives for 10 ms; these are the same code (SHA-NI where the processor has it) without that.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/base/sha256.hpp"

#include <openssl/sha.h>

#include <array>

#include "core/base/error.hpp"

namespace locald {

struct Sha256::Context {
    SHA256_CTX raw{};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
    if (SHA256_Init(&context_->raw) != 1) throw Error(ErrorKind::system, "start SHA-256: OpenSSL refused");
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    if (SHA256_Update(&context_->raw, bytes.data(), bytes.size()) != 1) {
        throw Error(ErrorKind::system, "SHA-256: OpenSSL failed to take more bytes");
    }
}

Digest Sha256::finish() {
    std::array<std::byte, SHA256_DIGEST_LENGTH> raw{};
    if (SHA256_Final(reinterpret_cast<unsigned char*>(raw.data()), &context_->raw) != 1) {
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
