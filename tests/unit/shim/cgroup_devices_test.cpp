#include <gmock/gmock.h>
#include <linux/bpf.h>

#include <array>
#include <cstring>
#include <random>

#include "core/base/error.hpp"
#include "shim/cgroup/devices.hpp"

namespace locald::shim {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr unsigned r = BPF_DEVCG_ACC_READ, w = BPF_DEVCG_ACC_WRITE, m = BPF_DEVCG_ACC_MKNOD;

/// Runs the program as the kernel would: the few instructions it may consist of, every jump checked.
bool allowed(const std::vector<std::uint64_t>& program, char type, unsigned major, unsigned minor, unsigned access) {
    std::vector<bpf_insn> code(program.size());
    std::memcpy(code.data(), program.data(), program.size() * sizeof(std::uint64_t));
    const std::array<std::uint32_t, 3> context{
        (access << 16U) | (type == 'b' ? unsigned{BPF_DEVCG_DEV_BLOCK} : unsigned{BPF_DEVCG_DEV_CHAR}), major, minor};
    std::array<std::uint64_t, 11> reg{};
    for (std::size_t at = 0;; ++at) {
        if (at >= code.size()) throw std::runtime_error("ran off the end");
        const bpf_insn& insn = code[at];
        const auto imm = static_cast<std::uint64_t>(std::int64_t{insn.imm});
        auto& dst = reg[insn.dst_reg];
        switch (insn.code) {
            case BPF_LDX | BPF_MEM | BPF_W:
                dst = context.at(static_cast<std::size_t>(insn.off) / sizeof(std::uint32_t));
                break;
            case BPF_ALU64 | BPF_MOV | BPF_K:
                dst = imm;
                break;
            case BPF_ALU64 | BPF_MOV | BPF_X:
                dst = reg[insn.src_reg];
                break;
            case BPF_ALU64 | BPF_AND | BPF_K:
                dst &= imm;
                break;
            case BPF_ALU64 | BPF_RSH | BPF_K:
                dst >>= imm;
                break;
            case BPF_JMP | BPF_JNE | BPF_K:
                if (dst != imm) at += static_cast<std::size_t>(insn.off);
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                if (dst == imm) at += static_cast<std::size_t>(insn.off);
                break;
            case BPF_ALU64 | BPF_LSH | BPF_K:
                dst <<= imm;
                break;
            case BPF_ALU64 | BPF_OR | BPF_X:
                dst |= reg[insn.src_reg];
                break;
            case BPF_JMP32 | BPF_JNE | BPF_K:
                if (static_cast<std::uint32_t>(dst) != static_cast<std::uint32_t>(imm)) {
                    at += static_cast<std::size_t>(insn.off);
                }
                break;
            case BPF_JMP32 | BPF_JEQ | BPF_K:
                if (static_cast<std::uint32_t>(dst) == static_cast<std::uint32_t>(imm)) {
                    at += static_cast<std::size_t>(insn.off);
                }
                break;
            case BPF_JMP | BPF_EXIT:
                return reg[0] == 1;
            default:
                throw std::runtime_error("an unexpected instruction");
        }
    }
}

std::vector<std::uint64_t> program_of(const std::vector<oci::DeviceRule>& rules) {
    return device_program(effective_device_rules(rules));
}

const oci::DeviceRule deny_all{false, "a", {}, {}, "rwm"};

TEST(DeviceRules, AreNothingWhenNoneAreGivenOrAllIsAllowed) {
    EXPECT_THAT(effective_device_rules({}), IsEmpty());
    EXPECT_THAT(effective_device_rules({deny_all, {true, "", {}, {}, "rwm"}}), IsEmpty());
}

TEST(DeviceRules, LeaveTheDefaultDevicesUsable) {
    const auto program = program_of({deny_all});
    EXPECT_TRUE(allowed(program, 'c', 1, 3, r | w));
    EXPECT_TRUE(allowed(program, 'c', 136, 7, r | w));
    EXPECT_TRUE(allowed(program, 'c', 10, 200, r | w | m));
    EXPECT_TRUE(allowed(program, 'b', 8, 0, m));
    EXPECT_FALSE(allowed(program, 'b', 8, 0, r));
    EXPECT_FALSE(allowed(program, 'b', 8, 0, r | m));
    EXPECT_FALSE(allowed(program, 'c', 1, 1, r));
}

TEST(DeviceRules, BeginWithNothingAllowedEvenWithoutABlanketRule) {
    const auto program = program_of({{true, "c", 10, 229, "rw"}});
    EXPECT_TRUE(allowed(program, 'c', 10, 229, r | w));
    EXPECT_FALSE(allowed(program, 'c', 10, 228, r));
    EXPECT_FALSE(allowed(program, 'b', 10, 229, r));
}

TEST(DeviceRules, AddUpWhenTheyAllowDifferentBits) {
    const auto program = program_of({deny_all, {true, "c", 9, 9, "r"}, {true, "c", 9, 9, "w"}});
    EXPECT_TRUE(allowed(program, 'c', 9, 9, r | w));
    EXPECT_TRUE(allowed(program, 'c', 9, 9, m));
}

TEST(DeviceRules, DecideByTheLastThatSaysSomething) {
    const auto program = program_of({{true, "b", 8, {}, "rw"}, {false, "b", 8, 1, "w"}});
    EXPECT_TRUE(allowed(program, 'b', 8, 0, r | w));
    EXPECT_TRUE(allowed(program, 'b', 8, 1, r));
    EXPECT_FALSE(allowed(program, 'b', 8, 1, w));
    EXPECT_FALSE(allowed(program, 'b', 8, 1, r | w));
}

TEST(DeviceRules, TakeMinusOneAsEveryNumber) {
    const auto program = program_of({deny_all, {true, "c", 4, -1, "r"}});
    EXPECT_TRUE(allowed(program, 'c', 4, 63, r));
    EXPECT_FALSE(allowed(program, 'c', 3, 63, r));
}

TEST(DeviceRules, AfterAllIsAllowedStillDenyWhatFollows) {
    const auto program = program_of({{true, "a", {}, {}, "rwm"}, {false, "b", {}, {}, "rw"}});
    EXPECT_TRUE(allowed(program, 'c', 99, 1, r | w | m));
    EXPECT_FALSE(allowed(program, 'b', 8, 0, r));
}

/// What the rules say, read one by one from the last.
bool allowed_by(const std::vector<oci::DeviceRule>& effective, char type, unsigned major, unsigned minor,
                unsigned access) {
    for (auto rule = effective.rbegin(); rule != effective.rend() && access != 0; ++rule) {
        if (rule->type != "a" && rule->type[0] != type) continue;
        if ((rule->major && *rule->major != major) || (rule->minor && *rule->minor != minor)) continue;
        for (const auto& [letter, bit] : {std::pair{'r', r}, std::pair{'w', w}, std::pair{'m', m}}) {
            if (rule->access.find(letter) == std::string::npos || (access & bit) == 0) continue;
            if (!rule->allow) return false;
            access &= ~bit;
        }
    }
    return access == 0;
}

TEST(DeviceRules, SayAsAProgramWhatTheySayOneByOne) {
    std::mt19937 random(7);
    const auto pick = [&](auto... values) {
        const std::array all{values...};
        return all[random() % all.size()];
    };
    using Number = std::optional<std::int64_t>;
    for (int round = 0; round < 300; ++round) {
        std::vector<oci::DeviceRule> rules;
        for (unsigned left = random() % 8 + 1; left > 0; --left) {
            rules.push_back({random() % 2 == 0, pick("a", "b", "c", "c"),
                             pick(Number(), Number(1), Number(2), Number(4095), Number(4096)),
                             pick(Number(), Number(1), Number(3), Number(1048575), Number(1048576 + 3)),
                             pick("rwm", "rwm", "r", "wm", "")});
        }
        const auto effective = effective_device_rules(rules);
        if (effective.empty()) continue;
        const auto program = device_program(effective);
        for (const char type : {'b', 'c'}) {
            for (const unsigned major : {1U, 2U, 3U, 5U, 136U, 4095U}) {
                for (const unsigned minor : {0U, 1U, 3U, 1048575U}) {
                    for (unsigned access = 1; access <= (r | w | m); ++access) {
                        ASSERT_EQ(allowed(program, type, major, minor, access),
                                  allowed_by(effective, type, major, minor, access))
                            << "round " << round << ": " << type << ' ' << major << ':' << minor << ' ' << access;
                    }
                }
            }
        }
    }
}

TEST(DeviceRules, OfWhatEveryContainerNeedsAreAShortProgram) { EXPECT_LE(program_of({deny_all}).size(), 28U); }

TEST(DeviceRules, RefuseLettersTypesAndNumbersThatDoNotExist) {
    EXPECT_THROW(effective_device_rules({{true, "c", 1, 1, "rx"}}), Error);
    EXPECT_THROW(effective_device_rules({{true, "p", 1, 1, "r"}}), Error);
    EXPECT_THROW(effective_device_rules({{true, "c", std::int64_t{1} << 40U, 1, "r"}}), Error);
}

TEST(DeviceRules, BecomeLinesForV1) {
    const auto lines =
        v1_device_lines(effective_device_rules({deny_all, {true, "a", 5, {}, "r"}, {false, "c", 4, 1, ""}}));
    EXPECT_THAT(lines.front(), Pair("devices.deny", "a"));
    EXPECT_THAT(lines, Contains(Pair("devices.allow", "b 5:* r")));
    EXPECT_THAT(lines, Contains(Pair("devices.allow", "c 5:* r")));
    EXPECT_THAT(lines, Contains(Pair("devices.deny", "c 4:1 rwm")));
    EXPECT_THAT(lines, Contains(Pair("devices.allow", "c 136:* rwm")));
}

}  // namespace
}  // namespace locald::shim
