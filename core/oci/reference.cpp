#include "core/oci/reference.hpp"

#include <algorithm>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::oci {

namespace {

constexpr std::string_view default_registry = "docker.io";
constexpr std::size_t longest_name = 255;  // registry, slash and path: the common cap of clients and registries

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_lower_alnum(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'z'); }
bool is_alnum(char c) noexcept { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    throw Error(ErrorKind::invalid,
                "image reference " + json_quote(text.substr(0, longest_name)) + ": " + std::string(why));
}

/// Letters and digits, joined by single `.`, one or two `_`, or any run of `-`.
bool is_path_component(std::string_view text) noexcept {
    while (true) {
        const auto word =
            static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_lower_alnum) - text.begin());
        if (word == 0) return false;
        text.remove_prefix(word);
        if (text.empty()) return true;
        const char joint = text.front();
        const auto run = std::min(text.find_first_not_of(joint), text.size());
        const bool good = joint == '-' || (joint == '_' && run <= 2) || (joint == '.' && run == 1);
        if (!good) return false;
        text.remove_prefix(run);
    }
}

bool is_host_label(std::string_view text) noexcept {
    return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

/// `::1` and the like, without a zone. Whether the groups add up is for the resolver to say.
bool is_ipv6(std::string_view text) noexcept {
    return text.find(':') != std::string_view::npos && std::all_of(text.begin(), text.end(), [](char c) {
               return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
           });
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
bool is_registry(std::string_view text) {
    std::optional<std::string_view> port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos || !is_ipv6(text.substr(1, end - 1))) return false;
        text.remove_prefix(end + 1);
        if (!text.empty() && text.front() != ':') return false;
        if (!text.empty()) port = text.substr(1);
    } else {
        const auto colon = text.find(':');
        if (colon != std::string_view::npos) port = text.substr(colon + 1);
        const auto labels = split(text.substr(0, colon), '.');
        if (!std::all_of(labels.begin(), labels.end(), is_host_label)) return false;
    }
    if (!port) return true;
    constexpr std::uint64_t highest_port = 65535;
    const auto number = parse_u64(*port);
    return number && *number >= 1 && *number <= highest_port;
}

/// The part before the first slash names a host if nothing in a repository's path could look like it.
bool looks_like_registry(std::string_view first) noexcept {
    return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos ||
           std::any_of(first.begin(), first.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_tag(std::string_view text) noexcept {
    constexpr std::size_t longest = 128;
    const auto is_word = [](char c) { return is_alnum(c) || c == '_'; };
    return !text.empty() && text.size() <= longest && is_word(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

/// A bare image id, which is not a name that a registry could have.
bool is_image_id(std::string_view text) noexcept {
    constexpr std::size_t hex_digits = 64;
    return text.size() == hex_digits &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

void check_repository(std::string_view text, std::string_view repository) {
    for (const auto component : split(repository, '/')) {
        if (component.empty()) refuse(text, "the repository has an empty part");
        if (is_path_component(component)) continue;
        const bool upper = std::any_of(component.begin(), component.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
        if (upper) refuse(text, "the repository must be in lower case");
        refuse(text, "the repository's part " + json_quote(component.substr(0, longest_name)) +
                         " is not letters and digits joined by . _ __ or -");
    }
}

/// Splits `PATH[:REST]` at the first colon after a drive letter, if there is one (`C:\image`).
void split_path(std::string_view rest, ImageName& name) {
    const bool drive = rest.size() > 2 && is_alnum(rest[0]) && !is_digit(rest[0]) && rest[1] == ':' &&
                       (rest[2] == '\\' || rest[2] == '/');
    const auto colon = rest.find(':', drive ? 2 : 0);
    name.path = rest.substr(0, colon);
    if (colon != std::string_view::npos) {
        name.selector = rest.substr(colon + 1);
        if (name.selector.empty()) refuse(name.text, "nothing stands after the last colon");
    }
    if (name.path.empty()) refuse(name.text, "the path is missing");
    if (name.text.find('\0') != std::string::npos) refuse(name.text, "holds a NUL byte");
}

}  // namespace

std::string Reference::str() const {
    std::string text = registry + "/" + repository;
    if (!tag.empty()) text.append(":").append(tag);
    if (!digest.empty()) text.append("@").append(digest.str());
    return text;
}

Reference parse_reference(std::string_view text) {
    if (text.empty()) throw Error(ErrorKind::invalid, "the image reference is empty");
    const auto scheme = text.find("://");
    if (scheme != std::string_view::npos) {
        throw Error(ErrorKind::invalid,
                    "image reference " + json_quote(text.substr(0, longest_name)) + ": a reference has no scheme")
            .with_remedy("leave out " + json_quote(text.substr(0, std::min<std::size_t>(scheme, 16) + 3)));
    }

    Reference reference;
    std::string_view rest = text;
    const auto at = rest.find('@');
    if (at != std::string_view::npos) {
        reference.digest = in_step("image reference " + json_quote(text.substr(0, longest_name)),
                                   [&] { return Digest::parse(rest.substr(at + 1)); });
        rest = rest.substr(0, at);
    }
    const auto slash = rest.rfind('/');
    const auto colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
    if (colon != std::string_view::npos) {
        reference.tag = rest.substr(colon + 1);
        if (!is_tag(reference.tag)) {
            refuse(text, "the tag is not a letter, digit or _, then at most 127 letters, digits and _ . -");
        }
        rest = rest.substr(0, colon);
    } else if (reference.digest.empty()) {
        reference.tag = "latest";
    }

    if (is_image_id(rest)) refuse(text, "64 hex digits are an image id, not a repository");
    const auto first = rest.find('/');
    if (first != std::string_view::npos && looks_like_registry(rest.substr(0, first))) {
        reference.registry = rest.substr(0, first);
        rest.remove_prefix(first + 1);
        if (!is_registry(reference.registry)) refuse(text, "the registry is not HOST or HOST:PORT");
    } else {
        reference.registry = default_registry;
    }
    if (reference.registry == "index.docker.io") reference.registry = default_registry;
    if (rest.empty()) refuse(text, "the repository is missing");
    check_repository(text, rest);
    const bool official = reference.registry == default_registry && rest.find('/') == std::string_view::npos;
    reference.repository = (official ? "library/" : "") + std::string(rest);
    if (reference.registry.size() + 1 + reference.repository.size() > longest_name) {
        refuse(text, "registry and repository are longer than 255 characters");
    }
    return reference;
}

ImageName parse_image_name(std::string_view text) {
    ImageName name;
    name.text = text;
    const auto is_of = [&](std::string_view prefix) { return text.starts_with(prefix); };
    constexpr std::string_view layout = "oci:";
    constexpr std::string_view layout_archive = "oci-archive:";
    constexpr std::string_view docker_archive = "docker-archive:";
    if (text == "locald/hello" || text == "locald/hello:latest") {
        name.kind = ImageKind::embedded;
    } else if (is_of(layout) || is_of(layout_archive)) {
        name.kind = ImageKind::oci_layout;
        split_path(text.substr(is_of(layout) ? layout.size() : layout_archive.size()), name);
    } else if (is_of(docker_archive)) {
        name.kind = ImageKind::docker_archive;
        split_path(text.substr(docker_archive.size()), name);
    } else {
        name.reference = parse_reference(text);
    }
    return name;
}

}  // namespace locald::oci
