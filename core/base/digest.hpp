#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace locald {

/// `sha256:<64 lower case hex digits>`; image-spec descriptor.md, "Digests". Only sha256 is accepted, so a Digest that
/// exists is safe as part of a path: hex() holds nothing but [0-9a-f]{64}.
class Digest {
public:
    Digest() = default;

    /// @throws Error(invalid) that names the text when it is no sha256 digest
    static Digest parse(std::string_view text);
    /// From 32 raw bytes.
    static Digest from_sha256(std::span<const std::byte, 32> raw);

    bool empty() const noexcept { return hex_.empty(); }
    const std::string& hex() const noexcept { return hex_; }
    std::string str() const { return hex_.empty() ? std::string() : "sha256:" + hex_; }
    auto operator<=>(const Digest&) const = default;

private:
    std::string hex_;
};

}  // namespace locald
