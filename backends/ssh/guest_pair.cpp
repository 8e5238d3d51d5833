#include "backends/ssh/guest_pair.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/host/directories.hpp"

namespace locald::backends {

namespace {

constexpr std::array machines{"x86_64", "aarch64"};

bool is_sha256(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

GuestProgram parse_line(std::string_view line, std::string_view name, const std::string& file) {
    const auto words = split(line, ' ');
    const auto size = words.size() == 3 ? parse_u64(words[1]) : std::nullopt;
    if (!size || *size == 0 || !is_sha256(words[0]) || words[2] != name) {
        throw Error(ErrorKind::corrupt, "read " + file + ": the line of " + std::string(name) + " is damaged")
            .with_remedy("install locald again, or build the pair again: tools/cross-build all");
    }
    return {std::string(words[0]), *size};
}

std::optional<std::string> read_if_there(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string read_program(const GuestPair& pair, const std::string& name, const GuestProgram& program) {
    const std::string path = pair.directory + "/" + name;
    auto bytes = read_if_there(path);
    if (!bytes || bytes->size() != program.size || sha256_of(*bytes).hex() != program.sha256) {
        throw Error(ErrorKind::corrupt,
                    "read " + path + ": it is not the program that " + pair.directory + "/sums names")
            .with_remedy("install locald again, or build the pair again: tools/cross-build all");
    }
    return std::move(*bytes);
}

}  // namespace

GuestPair parse_guest_pair(const std::string& machine, const std::string& directory, std::string_view sums) {
    const std::string file = directory + "/sums";
    const auto lines = split(sums, '\n');
    GuestPair pair{machine, sha256_of(sums).hex(), directory, {}, {}};
    pair.locald = parse_line(lines[0], "locald", file);
    pair.shim = parse_line(lines.size() > 1 ? lines[1] : "", "locald-shim", file);
    return pair;
}

std::string guest_pair_directory() {
    const std::string own = host::own_executable();
    return own.substr(0, own.rfind('/', own.rfind('/') - 1) + 1) + "lib/locald/guest";
}

std::vector<GuestPair> find_guest_pairs() {
    std::vector<GuestPair> pairs;
    for (const std::string& place : {guest_pair_directory(), std::string(LOCALD_INSTALL_LIBDIR) + "/locald/guest"}) {
        for (const char* machine : machines) {
            const auto same = [&](const GuestPair& pair) { return pair.machine == machine; };
            if (std::any_of(pairs.begin(), pairs.end(), same)) continue;
            const std::string directory = place + "/" + machine;
            if (const auto sums = read_if_there(directory + "/sums")) {
                pairs.push_back(parse_guest_pair(machine, directory, *sums));
            }
        }
    }
    return pairs;
}

std::string read_guest_pair(const GuestPair& pair) {
    return read_program(pair, "locald", pair.locald) + read_program(pair, "locald-shim", pair.shim);
}

}  // namespace locald::backends
