#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace locald::backends {

/// One static program that is put on other machines.
struct GuestProgram {
    std::string sha256;  ///< 64 hexadecimal digits
    std::uint64_t size = 0;
};

/// `locald` and `locald-shim` for machines of one architecture, as they lie beside this program.
struct GuestPair {
    std::string machine;  ///< as uname(1) says it: x86_64, aarch64
    std::string id;       ///< the sum of both sums: the pair's name on other machines
    std::string directory;
    GuestProgram locald, shim;
};

/// Reads what tools/cross-build writes beside a pair: `SHA256 SIZE locald`, `SHA256 SIZE locald-shim`. @throws Error
GuestPair parse_guest_pair(const std::string& machine, const std::string& directory, std::string_view sums);

/// The pairs that were built or installed with this program, `lib/locald/guest/MACHINE`. @throws Error
std::vector<GuestPair> find_guest_pairs();

/// Where find_guest_pairs() looks first, for error texts.
std::string guest_pair_directory();

/// The bytes of both programs, locald first. @throws Error(corrupt) when they are not what the sums say
std::string read_guest_pair(const GuestPair& pair);

}  // namespace locald::backends
