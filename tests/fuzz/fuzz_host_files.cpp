// What says how to reach another host: ssh_config, known_hosts, the file of named hosts, an address. The first byte
// chooses.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "backends/hosts/fingerprint.hpp"
#include "backends/hosts/named_hosts.hpp"
#include "backends/hosts/ssh_address.hpp"
#include "backends/ssh/known_hosts.hpp"
#include "backends/ssh/ssh_config.hpp"

namespace {

using namespace locald::backends;

void need(bool holds) {
    if (!holds) std::abort();
}

void read_config(std::string_view text) {
    SshHostConfig config;
    read_ssh_config(text, "config", "host.example", config);
    need(config.port <= 65535);
    need(config.host_name.find('\n') == std::string::npos && config.user.find('\n') == std::string::npos);
}

void read_address(std::string_view text) {
    const SshAddress address = parse_ssh_address(text);
    need(!address.host.empty() && address.port <= 65535);
    need(parse_ssh_address(address.text()).text() == address.text());
}

void read_hosts(std::string_view text) {
    const NamedHosts hosts = parse_named_hosts(text, "hosts.json");
    const std::string written = write_named_hosts(hosts);
    need(write_named_hosts(parse_named_hosts(written, "again")) == written);
    for (const auto& [name, host] : hosts.hosts) need(is_host_name(name) && !host.url.empty());
}

/// A key that the files do not have is never let through.
void ask_known_hosts(std::string_view text) {
    const int file = ::memfd_create("known_hosts", MFD_CLOEXEC);
    need(file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    const HostKey key{
        .type = "ssh-ed25519", .blob = "no base64 gives this", .fingerprint = fingerprint_of("no base64 gives this")};
    bool refused = false;
    try {
        const KnownHosts known({"/proc/self/fd/" + std::to_string(file)}, "host.example", 22);
        known.types();
        known.check(key);
    } catch (const locald::Error&) {
        refused = true;
    }
    ::close(file);
    need(refused);
}

}  // namespace

/// libssh2 1.10 forgets the context of the hash of a name whose length is not SHA-1's (knownhost_check).
extern "C" const char* __lsan_default_suppressions() {
    return "leak:CRYPTO_zalloc\n";
}  // NOLINT(bugprone-reserved-identifier)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return -1;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    try {
        switch (data[0] % 4) {
            case 0:
                read_config(text);
                break;
            case 1:
                read_address(text);
                break;
            case 2:
                read_hosts(text);
                break;
            default:
                ask_known_hosts(text);
                break;
        }
    } catch (const locald::Error& e) {
        need(e.kind() == locald::ErrorKind::invalid || e.kind() == locald::ErrorKind::corrupt);
    }
    return 0;
}
