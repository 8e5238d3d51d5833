#include "shim/seccomp/config.hpp"

#include <linux/filter.h>
#include <seccomp.h>

#include <cstring>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/oci/seccomp_profile.hpp"
#include "shim/seccomp/agent.hpp"
#include "shim/start/rights.h"

namespace locald::shim {

namespace {

constexpr const char* raw_program = "run.oci.seccomp_bpf_data";
constexpr const char* fail_unknown = "run.oci.seccomp_fail_unknown_syscall";

[[noreturn]] void refuse_raw(const std::string& why) {
    throw Error(ErrorKind::invalid, std::string("annotations[\"") + raw_program + "\"]: " + why)
        .with_remedy("give the struct sock_filter array of seccomp(2) in base64");
}

int base64_digit(char c) noexcept {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string decode(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    unsigned held = 0;
    unsigned bits = 0;
    for (const char c : text) {
        const int digit = base64_digit(c);
        if (digit < 0) refuse_raw("not base64");
        held = (held << 6U) | static_cast<unsigned>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>((held >> bits) & 0xFFU);
        }
    }
    return bytes;
}

SeccompFilter raw_filter(const std::string& text) {
    const std::string bytes = decode(text);
    if (bytes.empty() || bytes.size() % sizeof(sock_filter) != 0) {
        refuse_raw(std::to_string(bytes.size()) + " bytes are not a list of instructions of 8 bytes each");
    }
    SeccompFilter filter;
    filter.program.resize(bytes.size() / sizeof(sock_filter));
    if (filter.program.size() > BPF_MAXINSNS) {
        refuse_raw("has " + std::to_string(filter.program.size()) + " instructions, and the kernel takes " +
                   std::to_string(BPF_MAXINSNS));
    }
    std::memcpy(filter.program.data(), bytes.data(), bytes.size());
    return filter;
}

/// The profile with the agent's place filled in.
oci::Seccomp profile_of(const oci::Spec& spec) {
    oci::Seccomp profile = spec.get_linux().seccomp.value_or(oci::Seccomp());
    if (profile.listener_path.empty()) profile.listener_path = seccomp_agent_path(spec);
    return profile;
}

/// Says "no filter", though libseccomp would make a program of it that kills calls of a foreign architecture. With an
/// architecture, a rule or a flag in it somebody wants one.
bool allows_everything(const oci::Seccomp& profile) {
    return profile.default_action == "SCMP_ACT_ALLOW" && profile.syscalls.empty() && profile.architectures.empty() &&
           profile.flags.empty();
}

/// The default profile for the rights that the container can have; without a process it can have none.
oci::Seccomp safe_profile(const oci::Spec& spec) {
    if (!spec.process || !spec.process->capabilities) return oci::default_seccomp({});
    return oci::default_seccomp(spec.process->capabilities->bounding);
}

void refuse_unknown_names(const oci::Seccomp& profile) {
    for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
        for (const auto& name : profile.syscalls[i].names) {
            if (::seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR) continue;
            throw Error(ErrorKind::invalid, "linux.seccomp.syscalls[" + std::to_string(i) +
                                                "].names: unknown system call " + json_quote(name))
                .with_remedy(std::string("leave the annotation ") + fail_unknown + " out to pass over unknown names");
        }
    }
}

}  // namespace

bool replaces_seccomp(const oci::Annotations& annotations) { return annotations.contains(raw_program); }

bool has_seccomp(const oci::Spec& spec) {
    if (replaces_seccomp(spec.annotations)) return true;
    if (!spec.linux_ || !spec.linux_->seccomp) return locald_rights.mode == locald_was_setuid;
    return !allows_everything(*spec.linux_->seccomp);
}

void check_seccomp(const oci::Spec& spec) {
    if (replaces_seccomp(spec.annotations)) raw_filter(spec.annotations.at(raw_program));
    if (!spec.linux_ || !spec.linux_->seccomp) return;
    const auto profile = profile_of(spec);
    check_seccomp(profile);
    const auto strict = spec.annotations.find(fail_unknown);
    if (strict != spec.annotations.end() && strict->second != "0") refuse_unknown_names(profile);
}

std::optional<SeccompFilter> container_seccomp(const oci::Spec& spec, const std::string& cache_dir) {
    if (!has_seccomp(spec)) return std::nullopt;
    if (replaces_seccomp(spec.annotations)) return raw_filter(spec.annotations.at(raw_program));
    if (!spec.linux_ || !spec.linux_->seccomp) return compile_seccomp(safe_profile(spec), cache_dir);
    return compile_seccomp(profile_of(spec), cache_dir);
}

}  // namespace locald::shim
