#include <algorithm>
#include <array>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/oci/image_spec.hpp"

namespace locald::oci {

namespace {

struct OtherName {
    std::string_view name, architecture, variant;
};
constexpr std::array other_names{
    OtherName{"x86_64", "amd64", ""}, OtherName{"x86-64", "amd64", ""},    OtherName{"aarch64", "arm64", ""},
    OtherName{"armhf", "arm", "v7"},  OtherName{"armv7l", "arm", "v7"},    OtherName{"armel", "arm", "v6"},
    OtherName{"armv6l", "arm", "v6"}, OtherName{"i386", "386", ""},        OtherName{"i686", "386", ""},
    OtherName{"x86", "386", ""},      OtherName{"ppc64el", "ppc64le", ""}, OtherName{"loongarch64", "loong64", ""},
};

/// One spelling for one thing: `amd64/v1` is amd64, `arm64/v8` is arm64, `arm` is arm/v7 (containerd/platforms).
Platform normalized(Platform platform) {
    for (const auto& other : other_names) {
        if (platform.architecture != other.name) continue;
        platform.architecture = other.architecture;
        if (platform.variant.empty()) platform.variant = other.variant;
    }
    auto& variant = platform.variant;
    if (!variant.empty() && variant.front() >= '0' && variant.front() <= '9') variant.insert(0, "v");
    if (variant.ends_with(".0")) variant.resize(variant.size() - 2);
    if (platform.architecture == "amd64" && variant == "v1") variant.clear();
    if (platform.architecture == "arm64" && variant == "v8") variant.clear();
    if (platform.architecture == "arm" && variant.empty()) variant = "v7";
    return platform;
}

/// `v9.2` is {9, 2}, `v7` is {7, 0}.
struct Version {
    unsigned major = 0, minor = 0;
};
std::optional<Version> version_of(std::string_view variant) {
    constexpr std::uint64_t highest = 99;
    if (!variant.starts_with('v')) return std::nullopt;
    const auto parts = split(variant.substr(1), '.');
    const auto major = parse_u64(parts[0]);
    const auto minor = parts.size() > 1 ? parse_u64(parts[1]) : std::optional<std::uint64_t>(0);
    if (parts.size() > 2 || !major || !minor || *major > highest || *minor > highest) return std::nullopt;
    return Version{static_cast<unsigned>(*major), static_cast<unsigned>(*minor)};
}

/// What runs on `wanted`, the best first. Every entry is normalized.
std::vector<Platform> wishes_for(const Platform& wanted) {
    std::vector<Platform> wishes{wanted};
    const auto add = [&](std::string architecture, std::string variant) {
        wishes.push_back(normalized({wanted.os, std::move(architecture), std::move(variant), {}}));
    };
    const auto add_down = [&](const std::string& architecture, unsigned from, unsigned to) {
        for (unsigned v = from; v >= to; --v) add(architecture, std::string("v").append(std::to_string(v)));
    };
    const auto version = version_of(wanted.variant);
    if (wanted.architecture == "amd64") {
        if (version) add_down("amd64", version->major, 1);
        add("386", "");
    } else if (wanted.architecture == "arm64") {
        // Armv9.x has what Armv8.(x+5) has.
        unsigned eighth_minor = version && version->major == 8 ? version->minor : 0;
        if (version && version->major == 9) {
            for (unsigned minor = version->minor; minor > 0; --minor) add("arm64", "v9." + std::to_string(minor));
            add("arm64", "v9");
            eighth_minor = version->minor + 5;
        }
        for (unsigned minor = eighth_minor; minor > 0; --minor) add("arm64", "v8." + std::to_string(minor));
        add("arm64", "v8");
        add_down("arm", 8, 5);
    } else if (wanted.architecture == "arm") {
        if (version) add_down("arm", version->major, 5);
    } else {
        add(wanted.architecture, "");
    }
    return wishes;
}

/// Only images: no attestations, signatures or other artifacts that live in the same index.
bool is_image(const Descriptor& entry) {
    if (entry.platform && entry.platform->os == "unknown" && entry.platform->architecture == "unknown") return false;
    if (entry.annotations.contains("vnd.docker.reference.type")) return false;
    if (!entry.artifact_type.empty() && !entry.platform) return false;
    return entry.media_type == media_type::manifest || entry.media_type == media_type::docker_manifest ||
           entry.media_type == media_type::index || entry.media_type == media_type::docker_list;
}

bool has_platform(const Descriptor& entry) { return entry.platform && !entry.platform->architecture.empty(); }

}  // namespace

std::string Platform::str() const { return os + "/" + architecture + (variant.empty() ? "" : "/" + variant); }

Platform parse_platform(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const auto parts = split(lower, '/');
    const auto is_word = [](std::string_view part) {
        return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        });
    };
    if (parts.size() < 2 || parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_word)) {
        throw Error(ErrorKind::invalid,
                    "platform " + json_quote(text.substr(0, 64)) + ": expected OS/ARCH or OS/ARCH/VARIANT")
            .with_remedy("write for example linux/amd64, linux/arm64 or linux/arm/v7");
    }
    Platform platform{std::string(parts[0]), std::string(parts[1]), parts.size() > 2 ? std::string(parts[2]) : "", {}};
    if (platform.os == "macos") platform.os = "darwin";
    // What the user wrote stays as he wrote it, but for names that images never use.
    const auto* other = std::find_if(other_names.begin(), other_names.end(),
                                     [&](const auto& entry) { return entry.name == platform.architecture; });
    return other == other_names.end() ? platform : normalized(platform);
}

Platform host_platform() {
#if defined(__x86_64__) || defined(_M_X64)
    return {"linux", "amd64", "", {}};
#elif defined(__aarch64__) || defined(_M_ARM64)
    return {"linux", "arm64", "", {}};
#elif defined(__arm__) && __ARM_ARCH >= 7
    return {"linux", "arm", "v7", {}};
#elif defined(__arm__)
    return {"linux", "arm", "v6", {}};
#elif defined(__i386__)
    return {"linux", "386", "", {}};
#elif defined(__riscv) && __riscv_xlen == 64
    return {"linux", "riscv64", "", {}};
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
    return {"linux", "ppc64le", "", {}};
#elif defined(__s390x__)
    return {"linux", "s390x", "", {}};
#elif defined(__loongarch64)
    return {"linux", "loong64", "", {}};
#else
#error "which name do images have for this architecture?"
#endif
}

const Descriptor& select_platform(const Index& index, const Platform& wanted) {
    const auto find = [&](auto&& fits) -> const Descriptor* {
        const auto found = std::find_if(index.manifests.begin(), index.manifests.end(),
                                        [&](const Descriptor& entry) { return is_image(entry) && fits(entry); });
        return found == index.manifests.end() ? nullptr : &*found;
    };
    for (const auto& wish : wishes_for(normalized(wanted))) {
        const auto* found =
            find([&](const Descriptor& entry) { return has_platform(entry) && normalized(*entry.platform) == wish; });
        if (found != nullptr) return *found;
    }
    const auto* silent = find([](const Descriptor& entry) { return !has_platform(entry); });
    if (silent != nullptr) return *silent;

    std::vector<std::string> offered;
    for (const auto& entry : index.manifests) {
        if (entry.platform && is_image(entry)) offered.push_back(entry.platform->str());
    }
    std::sort(offered.begin(), offered.end());
    offered.erase(std::unique(offered.begin(), offered.end()), offered.end());
    std::string list;
    for (const auto& name : offered) list += (list.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::not_found,
                "no image for " + wanted.str() + "; there is " + (list.empty() ? std::string("none at all") : list));
}

}  // namespace locald::oci
