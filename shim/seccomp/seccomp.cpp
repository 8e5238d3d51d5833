#include "shim/seccomp/seccomp.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <string_view>
#include <type_traits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/seccomp/cache.hpp"
#include "shim/seccomp/names.hpp"

namespace locald::shim {

namespace {

static_assert(sizeof(sock_filter) == sizeof(std::uint64_t));

// Part of every cache key: raise it when the compiled form of the same profile changes.
constexpr std::string_view compiler_version = "1";
constexpr std::uint32_t x32_bit = 1U << 30U;
constexpr std::uint32_t most_errno = 4095;
constexpr std::uint32_t last_argument = 5;

struct Release {
    void operator()(void* context) const noexcept { ::seccomp_release(context); }
};
using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;  // a void*

[[noreturn]] void refuse(const std::string& field, const std::string& what) {
    throw Error(ErrorKind::invalid, "linux.seccomp." + field + ": " + what);
}

std::string rule_field(std::size_t index, const char* name) {
    return "syscalls[" + std::to_string(index) + "]." + name;
}

/// An action with its data.
std::uint32_t action_of(const std::string& field, const std::string& name, const std::optional<std::uint32_t>& ret) {
    const auto action = seccomp_action(name);
    if (!action) refuse(field, "unknown action " + json_quote(name));
    if (!action->takes_errno) {
        if (ret) refuse(field, name + " takes no errnoRet");
        return action->value;
    }
    const std::uint32_t value = ret.value_or(EPERM);
    if (action->value == SCMP_ACT_ERRNO(0) && value > most_errno) {
        refuse(field, "errnoRet: expected 0..4095, got " + std::to_string(value));
    }
    return action->value | (value & SECCOMP_RET_DATA);
}

std::vector<std::uint32_t> architectures_of(const oci::Seccomp& profile) {
    // The native one always belongs to it: without it the runtime itself could do nothing after loading.
    std::vector<std::uint32_t> list{::seccomp_arch_native()};
    for (const auto& name : profile.architectures) {
        const auto arch = seccomp_architecture(name);
        if (!arch) refuse("architectures", "unknown architecture " + json_quote(name));
        if (std::find(list.begin(), list.end(), *arch) == list.end()) list.push_back(*arch);
    }
    return list;
}

unsigned flags_of(const oci::Seccomp& profile) {
    unsigned flags = 0;
    for (const auto& name : profile.flags) {
        const auto flag = seccomp_flag(name);
        if (!flag) refuse("flags", "unknown flag " + json_quote(name));
        flags |= *flag;
    }
    return flags;
}

void libseccomp(int result, const std::string& what) {
    if (result < 0) {
        throw Error(ErrorKind::invalid, "linux.seccomp: " + what + ": " + errno_text(-result), -result)
            .with_remedy("libseccomp refuses this part of the profile");
    }
}

scmp_arg_cmp comparison(const oci::SeccompArg& arg) {
    return {arg.index, static_cast<scmp_compare>(*seccomp_operator(arg.op)), arg.value, arg.value_two};
}

void add_rule(const Context& context, std::uint32_t action, int number, const oci::SeccompRule& rule,
              const std::string& name) {
    std::array<unsigned, last_argument + 1> uses{};
    bool repeated = false;
    for (const auto& arg : rule.args) repeated = repeated || ++uses[arg.index] > 1;
    if (!repeated) {
        std::vector<scmp_arg_cmp> comparisons;
        for (const auto& arg : rule.args) comparisons.push_back(comparison(arg));
        libseccomp(::seccomp_rule_add_array(context.get(), action, number, static_cast<unsigned>(comparisons.size()),
                                            comparisons.data()),
                   "rule for " + name);
        return;
    }
    // libseccomp takes one comparison an argument; two of the same one then count as "or", as in other runtimes.
    for (const auto& arg : rule.args) {
        const scmp_arg_cmp one = comparison(arg);
        libseccomp(::seccomp_rule_add_array(context.get(), action, number, 1, &one), "rule for " + name);
    }
}

sock_filter statement(unsigned code, std::uint32_t k) { return {static_cast<std::uint16_t>(code), 0, 0, k}; }
sock_filter jump(unsigned code, std::uint32_t k, unsigned yes, unsigned no) {
    return {static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(yes), static_cast<std::uint8_t>(no), k};
}

/// For every architecture the highest number that the profile names, x32 without its bit. Architectures of which it
/// names none are not in it.
std::map<std::uint32_t, std::uint32_t> highest_numbers(const oci::Seccomp& profile,
                                                       const std::vector<std::uint32_t>& architectures) {
    std::map<std::uint32_t, std::uint32_t> highest;
    for (const auto arch : architectures) {
        for (const auto& rule : profile.syscalls) {
            for (const auto& name : rule.names) {
                const int number = ::seccomp_syscall_resolve_name_arch(arch, name.c_str());
                if (number < 0) continue;
                const auto plain = static_cast<std::uint32_t>(number) & ~(arch == SCMP_ARCH_X32 ? x32_bit : 0U);
                auto& value = highest[arch];
                value = std::max(value, plain);
            }
        }
    }
    return highest;
}

constexpr unsigned load_word = BPF_LD | BPF_W | BPF_ABS;
constexpr unsigned jump_if_equal = BPF_JMP | BPF_JEQ | BPF_K;
constexpr unsigned jump_if_greater = BPF_JMP | BPF_JGT | BPF_K;
constexpr unsigned jump_if_at_least = BPF_JMP | BPF_JGE | BPF_K;

void append_enosys_if(std::vector<sock_filter>& block, unsigned condition, std::uint32_t k) {
    block.push_back(jump(condition, k, 0, 1));
    block.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
}

/// What is asked of the numbers of one architecture as the kernel tells them apart (seccomp_data.arch).
std::vector<sock_filter> enosys_block(std::uint32_t arch, const std::map<std::uint32_t, std::uint32_t>& highest) {
    std::vector<sock_filter> block{statement(load_word, offsetof(seccomp_data, nr))};
    std::vector<sock_filter> own;
    if (const auto found = highest.find(arch); found != highest.end()) {
        append_enosys_if(own, jump_if_greater, found->second);
        // s390 has no call of number 0; tracers put it there to skip one.
        if (arch == SCMP_ARCH_S390 || arch == SCMP_ARCH_S390X) append_enosys_if(own, jump_if_equal, 0);
    }
    if (arch == SCMP_ARCH_X86_64) {
        // x32 has the same audit value; bit 30 of the number tells it apart, and its numbers end elsewhere. Without
        // x32 in the profile they go on to the filter proper, which refuses them as a foreign architecture.
        std::vector<sock_filter> x32;
        if (const auto found = highest.find(SCMP_ARCH_X32); found != highest.end()) {
            append_enosys_if(x32, jump_if_greater, found->second | x32_bit);
        }
        x32.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(own.size())));
        block.push_back(jump(jump_if_at_least, x32_bit, 0, static_cast<unsigned>(x32.size())));
        block.insert(block.end(), x32.begin(), x32.end());
    }
    block.insert(block.end(), own.begin(), own.end());
    block.push_back(statement(load_word, offsetof(seccomp_data, arch)));
    return block;
}

/// Instructions that answer ENOSYS to calls newer than the profile, so that a program falls back instead of failing
/// with EPERM. Nothing when the default action does not refuse anyway.
std::vector<sock_filter> enosys_prefix(const oci::Seccomp& profile, const std::vector<std::uint32_t>& architectures) {
    static constexpr std::array<std::string_view, 3> letting{"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"};
    if (std::find(letting.begin(), letting.end(), profile.default_action) != letting.end()) return {};
    if (profile.default_action == "SCMP_ACT_ERRNO" && profile.default_errno_ret == ENOSYS) return {};
    const auto highest = highest_numbers(profile, architectures);
    if (highest.empty()) return {};
    std::vector<sock_filter> program{statement(load_word, offsetof(seccomp_data, arch))};
    for (const auto arch : architectures) {
        if (arch == SCMP_ARCH_X32) continue;  // part of the block of x86-64, which is the native one where x32 exists
        const auto block = enosys_block(arch, highest);
        program.push_back(jump(jump_if_equal, arch, 0, static_cast<unsigned>(block.size())));
        program.insert(program.end(), block.begin(), block.end());
    }
    return program;
}

std::string export_program(const Context& context) {
#if SCMP_VER_MAJOR > 2 || (SCMP_VER_MAJOR == 2 && SCMP_VER_MINOR >= 6)
    std::size_t size = 0;
    libseccomp(::seccomp_export_bpf_mem(context.get(), nullptr, &size), "size of the filter");
    std::string bytes(size, '\0');
    libseccomp(::seccomp_export_bpf_mem(context.get(), bytes.data(), &size), "export the filter");
    bytes.resize(size);
    return bytes;
#else
    const auto file = posix::memfd_create("locald-seccomp");
    libseccomp(::seccomp_export_bpf(context.get(), file.get()), "export the filter");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw_errno(errno, "seek in the seccomp filter");
    return posix::read_all(file, "the seccomp filter");
#endif
}

std::vector<std::uint64_t> compile(const oci::Seccomp& profile) {
    const auto default_action = action_of("defaultAction", profile.default_action, profile.default_errno_ret);
    const auto architectures = architectures_of(profile);
    const Context context(::seccomp_init(default_action));
    if (!context) throw Error(ErrorKind::invalid, "linux.seccomp: libseccomp refuses the default action");
    for (const auto arch : architectures) {
        const int result = ::seccomp_arch_add(context.get(), arch);
        if (result != -EEXIST) libseccomp(result, "add an architecture");
    }
    // A binary tree over the call numbers: a few comparisons a call instead of hundreds.
    libseccomp(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "choose the binary tree");
    for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
        const auto& rule = profile.syscalls[i];
        const auto action = action_of(rule_field(i, "action"), rule.action, rule.errno_ret);
        if (action == default_action) continue;  // libseccomp refuses what changes nothing
        for (const auto& name : rule.names) {
            const int number = ::seccomp_syscall_resolve_name(name.c_str());
            if (number == __NR_SCMP_ERROR) continue;
            add_rule(context, action, number, rule, name);
        }
    }
    const std::string bytes = export_program(context);
    const auto prefix = enosys_prefix(profile, architectures);
    const std::size_t count = prefix.size() + bytes.size() / sizeof(sock_filter);
    if (count > BPF_MAXINSNS) {
        throw Error(ErrorKind::invalid, "linux.seccomp: the filter has " + std::to_string(count) +
                                            " instructions, and the kernel takes " + std::to_string(BPF_MAXINSNS))
            .with_remedy("name fewer architectures or fewer rules with arguments");
    }
    std::vector<std::uint64_t> program(count);
    if (!prefix.empty()) std::memcpy(program.data(), prefix.data(), prefix.size() * sizeof(sock_filter));
    std::memcpy(program.data() + prefix.size(), bytes.data(), bytes.size());
    return program;
}

/// All that the compiled form depends on, as text.
std::string cache_key(const oci::Seccomp& profile) {
    const auto* library = ::seccomp_version();
    std::string key = "locald seccomp " + std::string(compiler_version) + " libseccomp " +
                      std::to_string(library->major) + "." + std::to_string(library->minor) + "." +
                      std::to_string(library->micro) + " native " + std::to_string(::seccomp_arch_native()) + "\n";
    const auto number = [](const auto& value) { return value ? std::to_string(*value) : std::string("-"); };
    // Names come from a JSON text and may hold anything; quoting keeps two different profiles different.
    key += json_quote(profile.default_action) + number(profile.default_errno_ret) + "\n";
    for (const auto& arch : profile.architectures) key += json_quote(arch);
    for (const auto& rule : profile.syscalls) {
        key += "\n" + json_quote(rule.action) + number(rule.errno_ret);
        for (const auto& name : rule.names) key += json_quote(name);
        for (const auto& arg : rule.args) {
            key += "[" + std::to_string(arg.index) + " " + std::to_string(arg.value) + " " +
                   std::to_string(arg.value_two) + json_quote(arg.op) + "]";
        }
    }
    return key;
}

}  // namespace

void check_seccomp(const oci::Seccomp& profile) {
    action_of("defaultAction", profile.default_action, profile.default_errno_ret);
    if (profile.default_action == "SCMP_ACT_NOTIFY") refuse("defaultAction", "SCMP_ACT_NOTIFY cannot be the default");
    if (profile.listener_path.empty() && !profile.listener_metadata.empty()) {
        refuse("listenerMetadata", "needs listenerPath");
    }
    architectures_of(profile);
    flags_of(profile);
    for (std::size_t i = 0; i < profile.syscalls.size(); ++i) {
        const auto& rule = profile.syscalls[i];
        if (rule.names.empty()) refuse(rule_field(i, "names"), "needs at least one entry");
        action_of(rule_field(i, "action"), rule.action, rule.errno_ret);
        if (rule.action == "SCMP_ACT_NOTIFY") {
            if (profile.listener_path.empty()) refuse(rule_field(i, "action"), "SCMP_ACT_NOTIFY needs listenerPath");
            // After loading, the runtime itself still has to write to its parent.
            if (std::find(rule.names.begin(), rule.names.end(), "write") != rule.names.end()) {
                refuse(rule_field(i, "names"), "SCMP_ACT_NOTIFY cannot be used for write");
            }
        }
        for (const auto& arg : rule.args) {
            if (!seccomp_operator(arg.op)) refuse(rule_field(i, "args"), "unknown operator " + json_quote(arg.op));
            if (arg.index > last_argument) {
                refuse(rule_field(i, "args"), "index: expected 0..5, got " + std::to_string(arg.index));
            }
        }
    }
}

SeccompFilter compile_seccomp(const oci::Seccomp& profile, const std::string& cache_dir) {
    check_seccomp(profile);
    SeccompFilter filter;
    filter.flags = flags_of(profile);
    filter.notify = std::any_of(profile.syscalls.begin(), profile.syscalls.end(),
                                [](const auto& rule) { return rule.action == "SCMP_ACT_NOTIFY"; });
    if (cache_dir.empty()) {
        filter.program = compile(profile);
        return filter;
    }
    const SeccompCache cache(cache_dir);
    const std::string key = cache_key(profile);
    if (auto cached = cache.find(key)) {
        filter.program = std::move(*cached);
        return filter;
    }
    filter.program = compile(profile);
    cache.put(key, filter.program);
    return filter;
}

posix::UniqueFd load_seccomp(const SeccompFilter& filter) {
    sock_fprog program{};
    program.len = static_cast<unsigned short>(filter.program.size());
    // The kernel only reads it, and the two types are equal in size and order of bytes.
    program.filter = reinterpret_cast<sock_filter*>(const_cast<std::uint64_t*>(filter.program.data()));
    // The loader has one thread, so there is nothing to synchronise; together with a listener the kernel would refuse.
    unsigned flags = filter.flags & ~static_cast<unsigned>(SECCOMP_FILTER_FLAG_TSYNC);
    if (filter.notify) {
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    } else {
        flags &= ~*seccomp_flag("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");  // the kernel takes it with a listener only
    }
    const long result = flags == 0 ? ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)
                                   : ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result < 0) {
        const int err = errno;
        throw Error(kind_of_errno(err), "load linux.seccomp: " + errno_text(err), err)
            .with_remedy(err == EACCES  ? "set process.noNewPrivileges, or load it with CAP_SYS_ADMIN"
                         : err == EBUSY ? "a filter of an outer container has a listener already, and there is one only"
                         : flags != 0   ? "this kernel may not know one of linux.seccomp.flags"
                                        : "the kernel needs CONFIG_SECCOMP_FILTER");
    }
    return posix::UniqueFd(filter.notify ? static_cast<int>(result) : -1);
}

}  // namespace locald::shim
