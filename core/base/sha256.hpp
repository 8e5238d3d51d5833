#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "core/base/digest.hpp"

namespace locald {

/// SHA-256 over a stream of bytes (OpenSSL's). One object hashes one stream.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
    /// Ends the stream; the object is of no use afterwards.
    Digest finish();

private:
    struct Context;
    std::unique_ptr<Context> context_;
};

/// The digest of a whole text.
Digest sha256_of(std::string_view text);

}  // namespace locald
