#include "cli/archive_kind.hpp"

#include <array>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string_view>

namespace locald::cli {

namespace {

constexpr std::size_t block = 512;
using Header = std::array<char, block>;

/// A field up to its first zero byte.
std::string_view field(const Header& header, std::size_t at, std::size_t length) {
    const std::string_view whole(header.data() + at, length);
    return whole.substr(0, whole.find('\0'));
}

/// The size of a member, in octal; nothing when it is anything else, like the binary sizes of huge members.
std::optional<std::uint64_t> size_of(const Header& header) {
    std::uint64_t size = 0;
    for (const char c : field(header, 124, 12)) {
        if (c == ' ') continue;
        if (c < '0' || c > '7') return std::nullopt;
        size = size * 8 + static_cast<std::uint64_t>(c - '0');
    }
    return size;
}

}  // namespace

oci::ImageKind archive_kind(const std::string& path) {
    constexpr int most_members = 100'000;
    std::ifstream file(path, std::ios::binary);
    bool has_layout = false;
    Header header{};
    for (int i = 0; i < most_members && file.read(header.data(), block); ++i) {
        std::string_view name = field(header, 0, 100);
        if (name.starts_with("./")) name.remove_prefix(2);
        if (name == "manifest.json") return oci::ImageKind::docker_archive;
        has_layout = has_layout || name == "oci-layout";
        const auto size = size_of(header);
        if (!size) break;
        file.seekg(static_cast<std::streamoff>((*size + block - 1) / block * block), std::ios::cur);
    }
    return has_layout ? oci::ImageKind::oci_layout : oci::ImageKind::docker_archive;
}

}  // namespace locald::cli
