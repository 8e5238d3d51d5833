#include "shim/cgroup/devices.hpp"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

namespace {

static_assert(sizeof(bpf_insn) == sizeof(std::uint64_t));

constexpr unsigned all_access = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

oci::DeviceRule allow(const char* type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                      const char* access) {
    return {true, type, major, minor, access};
}

/// What a container cannot do without; the same list as other runtimes have, tun included.
std::vector<oci::DeviceRule> default_rules() {
    return {
        allow("c", {}, {}, "m"),    allow("b", {}, {}, "m"),                              // mknod alone opens nothing
        allow("c", 1, 3, "rwm"),    allow("c", 1, 5, "rwm"),    allow("c", 1, 7, "rwm"),  // null, zero, full
        allow("c", 1, 8, "rwm"),    allow("c", 1, 9, "rwm"),                              // random, urandom
        allow("c", 5, 0, "rwm"),    allow("c", 5, 2, "rwm"),                              // tty, ptmx
        allow("c", 136, {}, "rwm"), allow("c", 10, 200, "rwm"),                           // pts, tun
    };
}

unsigned access_of(const oci::DeviceRule& rule) {
    if (rule.access.empty()) return all_access;
    unsigned mask = 0;
    for (const char c : rule.access) {
        switch (c) {
            case 'r':
                mask |= BPF_DEVCG_ACC_READ;
                break;
            case 'w':
                mask |= BPF_DEVCG_ACC_WRITE;
                break;
            case 'm':
                mask |= BPF_DEVCG_ACC_MKNOD;
                break;
            default:
                throw Error(ErrorKind::invalid,
                            "linux.resources.devices: access: expected letters of rwm, got " + json_quote(rule.access));
        }
    }
    return mask;
}

std::string letters(unsigned mask) {
    std::string text;
    if ((mask & BPF_DEVCG_ACC_READ) != 0) text += 'r';
    if ((mask & BPF_DEVCG_ACC_WRITE) != 0) text += 'w';
    if ((mask & BPF_DEVCG_ACC_MKNOD) != 0) text += 'm';
    return text;
}

/// A copy in which type is a, b or c, absent numbers are absent (the spec also lets -1 say so), and access is spelled
/// out.
oci::DeviceRule normal(oci::DeviceRule rule) {
    if (rule.type.empty()) rule.type = "a";
    if (rule.type == "u") rule.type = "c";  // mknod(1)'s unbuffered character device
    if (rule.type != "a" && rule.type != "b" && rule.type != "c") {
        throw Error(ErrorKind::invalid,
                    "linux.resources.devices: type: expected a, b or c, got " + json_quote(rule.type));
    }
    constexpr std::int64_t most = 0x7fffffff;
    for (auto* number : {&rule.major, &rule.minor}) {
        if (*number && **number < 0) number->reset();
        if (*number && **number > most) {
            throw Error(ErrorKind::invalid,
                        "linux.resources.devices: no device has the number " + std::to_string(**number));
        }
    }
    rule.access = letters(access_of(rule));
    return rule;
}

bool covers_all(const oci::DeviceRule& rule) {
    return rule.type == "a" && !rule.major && !rule.minor && access_of(rule) == all_access;
}

bpf_insn instruction(unsigned code, unsigned dst, unsigned src, int off, std::int32_t imm) {
    bpf_insn insn{};
    insn.code = static_cast<std::uint8_t>(code);
    insn.dst_reg = static_cast<std::uint8_t>(dst & 0xFU);
    insn.src_reg = static_cast<std::uint8_t>(src & 0xFU);
    insn.off = static_cast<std::int16_t>(off);
    insn.imm = imm;
    return insn;
}

// Registers of the program: what was asked (R2 type, R3 the access bits not decided yet, R4 major, R5 minor), R0 the
// answer. R1 holds the context first, then major and minor in one word as dev_t has them.
enum Register : unsigned { answer = 0, context = 1, device = 1, type = 2, access = 3, major = 4, minor = 5 };

constexpr unsigned minor_bits = 20;  // of the kernel's dev_t, below 12 of the major number
constexpr std::int64_t majors = 1 << 12, minors = 1 << minor_bits;

using Block = std::vector<bpf_insn>;

void append(Block& block, const Block& more) { block.insert(block.end(), more.begin(), more.end()); }

void append_answer(Block& block, bool yes) {
    block.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, answer, 0, 0, yes ? 1 : 0));
    block.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int kernel_type(const oci::DeviceRule& rule) { return rule.type == "b" ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR; }

/// What happens once a rule is known to name the device.
Block decision(const oci::DeviceRule& rule) {
    const unsigned mask = access_of(rule);
    Block block;
    if (mask != all_access && rule.allow) {
        // These bits are allowed; the rest is for earlier rules to decide.
        block.push_back(
            instruction(BPF_ALU64 | BPF_AND | BPF_K, access, 0, 0, static_cast<std::int32_t>(~mask & all_access)));
        block.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, access, 0, 2, 0));
    } else if (mask != all_access) {
        block.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, answer, access, 0, 0));
        block.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, answer, 0, 0, static_cast<std::int32_t>(mask)));
        block.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, answer, 0, 2, 0));
    }
    append_answer(block, rule.allow);
    return block;
}

Block single(const oci::DeviceRule& rule) {
    const Block tail = decision(rule);
    std::vector<std::pair<unsigned, std::int32_t>> conditions;
    if (rule.type != "a") conditions.emplace_back(type, kernel_type(rule));
    if (rule.major) conditions.emplace_back(major, static_cast<std::int32_t>(*rule.major));
    if (rule.minor) conditions.emplace_back(minor, static_cast<std::int32_t>(*rule.minor));
    Block block;
    for (std::size_t i = 0; i < conditions.size(); ++i) {
        const auto over = static_cast<int>(conditions.size() - i - 1 + tail.size());
        block.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, conditions[i].first, 0, over, conditions[i].second));
    }
    append(block, tail);
    return block;
}

/// Rules that allow or deny a device of one type as a whole: a row of them with one answer needs one comparison each.
bool fits_row(const oci::DeviceRule& rule) {
    return rule.type != "a" && rule.major && *rule.major < majors && (!rule.minor || *rule.minor < minors) &&
           access_of(rule) == all_access;
}

bool same_row(const oci::DeviceRule& a, const oci::DeviceRule& b) { return a.allow == b.allow && a.type == b.type; }

/// @param rules  that fit, of one row; any order
Block row(std::span<const oci::DeviceRule* const> rules) {
    Block block{instruction(BPF_JMP | BPF_JNE | BPF_K, type, 0, static_cast<int>(rules.size()) + 2,
                            kernel_type(*rules.front()))};
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const oci::DeviceRule& rule = *rules[i];
        const unsigned place = rule.minor ? device : major;
        const auto high = static_cast<std::uint32_t>(rule.major.value_or(0));
        const auto low = static_cast<std::uint32_t>(rule.minor.value_or(0));
        const auto value = static_cast<std::int32_t>(rule.minor ? (high << minor_bits) | low : high);
        // All but the last jump to the answer; where the last does not match either, it is jumped over.
        const bool last = i + 1 == rules.size();
        const auto to = last ? 2 : static_cast<int>(rules.size() - i - 1);
        const unsigned compare = last ? BPF_JNE : BPF_JEQ;
        block.push_back(instruction(BPF_JMP32 | compare | BPF_K, place, 0, to, value));
    }
    append_answer(block, rules.front()->allow);
    return block;
}

/// A block rule and a character rule that say the same of all numbers, one after the other, are one rule.
void join_types(std::vector<oci::DeviceRule>& rules) {
    for (std::size_t i = 0; i + 1 < rules.size(); ++i) {
        const auto &a = rules[i], &b = rules[i + 1];
        const bool types = (a.type == "b" && b.type == "c") || (a.type == "c" && b.type == "b");
        if (!types || a.allow != b.allow || access_of(a) != access_of(b)) continue;
        if (a.major || a.minor || b.major || b.minor) continue;
        rules[i].type = "a";
        rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
}

long bpf(int command, bpf_attr& attr) { return ::syscall(SYS_bpf, command, &attr, sizeof attr); }

constexpr std::string_view name_prefix = "locald_";

/// The program's name in the kernel (15 characters at most) says what it is: ours, with a digest of its instructions.
std::string name_of(const std::vector<std::uint64_t>& program) {
    std::uint32_t hash = 2166136261U;  // FNV-1a
    for (const std::uint64_t word : program) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            hash = (hash ^ static_cast<std::uint32_t>((word >> shift) & 0xFFU)) * 16777619U;
        }
    }
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", hash);
    return std::string(name_prefix) + digits.data();
}

posix::UniqueFd load(const std::vector<std::uint64_t>& program) {
    static constexpr std::array<char, 11> license{"Apache-2.0"};
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insn_cnt = static_cast<std::uint32_t>(program.size());
    attr.insns = reinterpret_cast<std::uint64_t>(program.data());
    attr.license = reinterpret_cast<std::uint64_t>(license.data());
    const std::string name = name_of(program);
    std::memcpy(attr.prog_name, name.data(), std::min(name.size(), sizeof attr.prog_name - 1));
    return posix::UniqueFd(static_cast<int>(bpf(BPF_PROG_LOAD, attr)));
}

/// @param old  the program whose place it takes; empty: beside all others
int attach(const posix::UniqueFd& cgroup, const posix::UniqueFd& program, const posix::UniqueFd& old) {
    bpf_attr attr{};
    attr.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attr.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (old) {
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = static_cast<std::uint32_t>(old.get());
    }
    return bpf(BPF_PROG_ATTACH, attr) == 0 ? 0 : errno;
}

int detach(const posix::UniqueFd& cgroup, const posix::UniqueFd& program) {
    bpf_attr attr{};
    attr.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attr.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attr.attach_type = BPF_CGROUP_DEVICE;
    return bpf(BPF_PROG_DETACH, attr) == 0 ? 0 : errno;
}

std::vector<std::uint32_t> attached_programs(const posix::UniqueFd& cgroup) {
    std::vector<std::uint32_t> ids(64);
    bpf_attr attr{};
    attr.query.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = reinterpret_cast<std::uint64_t>(ids.data());
    attr.query.prog_cnt = static_cast<std::uint32_t>(ids.size());
    ids.resize(bpf(BPF_PROG_QUERY, attr) == 0 ? attr.query.prog_cnt : 0);
    return ids;
}

posix::UniqueFd open_program(std::uint32_t id) {
    bpf_attr attr{};
    attr.prog_id = id;
    return posix::UniqueFd(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, attr)));
}

std::string name_of_loaded(const posix::UniqueFd& program) {
    bpf_prog_info info{};
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<std::uint32_t>(program.get());
    attr.info.info_len = sizeof info;
    attr.info.info = reinterpret_cast<std::uint64_t>(&info);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, attr) != 0) return {};
    return {info.name, ::strnlen(info.name, sizeof info.name)};
}

}  // namespace

std::vector<oci::DeviceRule> effective_device_rules(const std::vector<oci::DeviceRule>& rules) {
    if (rules.empty()) return {};
    std::vector<oci::DeviceRule> list{{false, "a", {}, {}, "rwm"}};
    for (const auto& rule : rules) {
        const auto plain = normal(rule);
        if (plain.access.empty()) continue;
        if (covers_all(plain)) list.clear();  // says all that came before again
        list.push_back(plain);
    }
    for (const auto& rule : default_rules()) list.push_back(rule);
    bool restricts = false;
    for (const auto& rule : list) restricts = restricts || !rule.allow;
    return restricts ? list : std::vector<oci::DeviceRule>{};
}

std::vector<std::pair<std::string, std::string>> v1_device_lines(const std::vector<oci::DeviceRule>& effective) {
    std::vector<std::pair<std::string, std::string>> lines;
    const auto number = [](const std::optional<std::int64_t>& value) { return value ? std::to_string(*value) : "*"; };
    for (const auto& rule : effective) {
        const std::string file = rule.allow ? "devices.allow" : "devices.deny";
        if (covers_all(rule)) {
            lines.emplace_back(file, "a");
            continue;
        }
        // The kernel takes `a` for everything, numbers or not; two lines say what was meant.
        const std::vector<std::string> types =
            rule.type == "a" ? std::vector<std::string>{"b", "c"} : std::vector<std::string>{rule.type};
        for (const auto& one : types) {
            lines.emplace_back(file, one + " " + number(rule.major) + ":" + number(rule.minor) + " " + rule.access);
        }
    }
    return lines;
}

std::vector<std::pair<std::string, std::string>> v1_device_changes(const std::string& list,
                                                                   const std::vector<oci::DeviceRule>& effective) {
    // What is allowed in the end: the lines in their order, each taking back or adding its own words.
    std::vector<std::string> wanted;
    for (const auto& [file, line] : v1_device_lines(effective)) {
        if (line == "a") {
            wanted.clear();
            continue;
        }
        std::erase(wanted, line);
        if (file == "devices.allow") wanted.push_back(line);
    }
    std::vector<std::pair<std::string, std::string>> changes;
    std::vector<std::string> present;
    for (const auto line : split(trim(list), '\n')) {
        if (line.starts_with("a ")) {
            throw Error(ErrorKind::unsupported,
                        "linux.resources.devices: the container was made without device rules; the v1 devices "
                        "controller takes the first ones only before anything runs")
                .with_remedy("make the container again, or leave the devices out");
        }
        if (!line.empty()) present.emplace_back(line);
    }
    for (const auto& line : wanted) {
        if (std::find(present.begin(), present.end(), line) == present.end()) {
            changes.emplace_back("devices.allow", line);
        }
    }
    for (const auto& line : present) {
        if (std::find(wanted.begin(), wanted.end(), line) == wanted.end()) changes.emplace_back("devices.deny", line);
    }
    return changes;
}

std::vector<std::uint64_t> device_program(std::vector<oci::DeviceRule> effective) {
    constexpr unsigned load = BPF_LDX | BPF_MEM | BPF_W;
    constexpr unsigned type_bits = 16;
    Block program{
        // struct bpf_cgroup_dev_ctx: access in the upper half of the first word, type in the lower.
        instruction(load, type, context, offsetof(bpf_cgroup_dev_ctx, access_type), 0),
        instruction(BPF_ALU64 | BPF_MOV | BPF_X, access, type, 0, 0),
        instruction(BPF_ALU64 | BPF_AND | BPF_K, type, 0, 0, 0xFFFF),
        instruction(BPF_ALU64 | BPF_RSH | BPF_K, access, 0, 0, type_bits),
        instruction(load, major, context, offsetof(bpf_cgroup_dev_ctx, major), 0),
        instruction(load, minor, context, offsetof(bpf_cgroup_dev_ctx, minor), 0),
        instruction(BPF_ALU64 | BPF_MOV | BPF_X, device, major, 0, 0),
        instruction(BPF_ALU64 | BPF_LSH | BPF_K, device, 0, 0, minor_bits),
        instruction(BPF_ALU64 | BPF_OR | BPF_X, device, minor, 0, 0),
    };
    // The kernel's verifier keeps a note for each comparison of a row until it has seen the end, and has 8192 of them.
    constexpr std::size_t most_in_rows = 1000;
    const bool rows = effective.size() <= most_in_rows;
    join_types(effective);
    std::reverse(effective.begin(), effective.end());  // the last that says something decides
    bool ended = false;
    for (std::size_t i = 0; i < effective.size() && !ended;) {
        std::vector<const oci::DeviceRule*> alike;
        while (rows && i < effective.size() && fits_row(effective[i]) &&
               (alike.empty() || same_row(effective[i], *alike.front()))) {
            alike.push_back(&effective[i++]);
        }
        if (!alike.empty()) {
            append(program, row(alike));
            continue;
        }
        append(program, single(effective[i]));
        ended = covers_all(effective[i++]);  // what follows could not be reached, and the verifier refuses such code
    }
    if (!ended) append_answer(program, false);
    std::vector<std::uint64_t> words(program.size());
    std::memcpy(words.data(), program.data(), program.size() * sizeof(bpf_insn));
    return words;
}

bool can_filter_devices(const posix::UniqueFd& cgroup) {
    bpf_attr attr{};
    attr.query.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    return bpf(BPF_PROG_QUERY, attr) == 0;
}

int attach_device_program(const posix::UniqueFd& cgroup, const std::vector<std::uint64_t>& program) {
    const posix::UniqueFd loaded = load(program);
    return loaded ? attach(cgroup, loaded, posix::UniqueFd()) : errno;
}

Replaced replace_device_program(const posix::UniqueFd& cgroup, const std::vector<std::uint64_t>& program, int& error) {
    error = 0;
    const std::string wanted = name_of(program);
    posix::UniqueFd old;
    for (const auto id : attached_programs(cgroup)) {
        posix::UniqueFd handle = open_program(id);
        const std::string name = handle ? name_of_loaded(handle) : std::string();
        if (name == wanted) return Replaced::same;
        if (name.starts_with(name_prefix)) old = std::move(handle);
    }
    if (!old) return Replaced::not_ours;
    const posix::UniqueFd loaded = load(program);
    error = loaded ? attach(cgroup, loaded, old) : errno;
    if (error == EINVAL) {
        // A kernel without BPF_F_REPLACE: for a moment both decide, never none.
        error = attach(cgroup, loaded, posix::UniqueFd());
        if (error == 0) error = detach(cgroup, old);
    }
    return Replaced::yes;
}

}  // namespace locald::shim
