#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace locald::shim {

// The names of runtime-spec config-linux.md, "Seccomp", as libseccomp's and the kernel's numbers.

struct SeccompAction {
    std::uint32_t value = 0;   ///< SCMP_ACT_… without its data
    bool takes_errno = false;  ///< ERRNO and TRACE carry errnoRet
};

std::optional<SeccompAction> seccomp_action(std::string_view name);
/// enum scmp_compare.
std::optional<int> seccomp_operator(std::string_view name);
/// The token of libseccomp (an AUDIT_ARCH_ value).
std::optional<std::uint32_t> seccomp_architecture(std::string_view name);
/// SECCOMP_FILTER_FLAG_….
std::optional<unsigned> seccomp_flag(std::string_view name);

}  // namespace locald::shim
