#include "backends/ssh/library.hpp"

#include <libssh2.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace locald::backends {

namespace {

constexpr std::array kinds{
    HostKeyKind{"ssh-ed25519", LIBSSH2_HOSTKEY_TYPE_ED25519, LIBSSH2_KNOWNHOST_KEY_ED25519},
    HostKeyKind{"ecdsa-sha2-nistp256", LIBSSH2_HOSTKEY_TYPE_ECDSA_256, LIBSSH2_KNOWNHOST_KEY_ECDSA_256},
    HostKeyKind{"ecdsa-sha2-nistp384", LIBSSH2_HOSTKEY_TYPE_ECDSA_384, LIBSSH2_KNOWNHOST_KEY_ECDSA_384},
    HostKeyKind{"ecdsa-sha2-nistp521", LIBSSH2_HOSTKEY_TYPE_ECDSA_521, LIBSSH2_KNOWNHOST_KEY_ECDSA_521},
    HostKeyKind{"ssh-rsa", LIBSSH2_HOSTKEY_TYPE_RSA, LIBSSH2_KNOWNHOST_KEY_SSHRSA}};

void append(std::string& list, std::string_view type) {
    if (!list.empty()) list += ',';
    // One kind of key with three kinds of signature.
    if (type == "ssh-rsa") list += "rsa-sha2-512,rsa-sha2-256,";
    list += type;
}

}  // namespace

std::string ssh_library() { return std::string("libssh2 ") + libssh2_version(0); }

bool ssh_library_has_sha2_rsa() noexcept { return libssh2_version(0x010b00) != nullptr; }

std::span<const HostKeyKind> host_key_kinds() noexcept { return kinds; }

std::string host_key_wish(const std::vector<std::string>& known) {
    std::string list;
    for (const auto& type : known) append(list, type);
    for (const auto& kind : kinds) {
        if (std::find(known.begin(), known.end(), kind.name) == known.end()) append(list, kind.name);
    }
    return list;
}

bool is_rsa_key(const std::string& path) {
    std::ifstream file(path);
    std::string line, body;
    if (!std::getline(file, line)) return false;
    if (line.find("BEGIN RSA PRIVATE KEY") != std::string::npos) return true;
    if (line.find("BEGIN OPENSSH PRIVATE KEY") == std::string::npos) return false;
    for (int lines = 0; lines < 4 && std::getline(file, line); ++lines) body += line;
    // `ssh-rsa` in base64, by where it begins among three bytes.
    constexpr std::array<std::string_view, 3> words{"c3NoLXJzY", "NzaC1yc2", "zc2gtcnNh"};
    return std::any_of(words.begin(), words.end(), [&](auto word) { return body.find(word) != std::string::npos; });
}

}  // namespace locald::backends
