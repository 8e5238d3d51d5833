#include "shim/base/capabilities.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/oci/capability_names.hpp"

namespace locald::shim {

namespace {

constexpr auto& names = oci::capability_names;

constexpr int highest_possible = 63;
constexpr unsigned word = 32;

std::uint64_t bit(int number) { return std::uint64_t{1} << static_cast<unsigned>(number); }

struct CapData {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
};

std::uint64_t join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{low} | (std::uint64_t{high} << word); }

/// One of the five lists as a mask. A name already complained about in another list is not repeated.
std::uint64_t mask_of(const std::vector<std::string>& list, std::uint64_t grantable,
                      std::vector<std::string>& warnings) {
    std::uint64_t mask = 0;
    const auto warn = [&](const std::string& text) {
        for (const auto& seen : warnings) {
            if (seen == text) return;
        }
        warnings.push_back(text);
    };
    for (const auto& name : list) {
        const int number = capability_number(name);
        if (number < 0) {
            warn("process.capabilities: unknown capability " + json_quote(name) + " is ignored");
        } else if ((grantable & bit(number)) == 0) {
            warn("process.capabilities: " + name + " cannot be granted here and is left out");
        } else {
            mask |= bit(number);
        }
    }
    return mask;
}

std::string names_of(std::uint64_t mask) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if ((mask & bit(static_cast<int>(i))) != 0) text.append(text.empty() ? "" : " ").append(names[i]);
    }
    return text;
}

}  // namespace

int capability_number(const std::string& name) {
    // Asked for each name of five lists: by halves, not one after the other.
    static constexpr auto sorted = [] {
        std::array<std::uint8_t, names.size()> numbers{};
        std::iota(numbers.begin(), numbers.end(), std::uint8_t{0});
        std::sort(numbers.begin(), numbers.end(), [](auto a, auto b) { return names[a] < names[b]; });
        return numbers;
    }();
    const auto* found = std::lower_bound(sorted.begin(), sorted.end(), std::string_view(name),
                                         [](auto number, std::string_view wanted) { return names[number] < wanted; });
    return found != sorted.end() && names[*found] == name ? *found : -1;
}

std::vector<std::string> known_capabilities() { return {names.begin(), names.end()}; }

std::uint64_t grantable_capabilities(std::uint64_t of) {
    CapData caps;
    if (::syscall(SYS_capget, &caps.header, caps.data.data()) != 0) throw_errno(errno, "capget");
    const std::uint64_t permitted = join(caps.data[0].permitted, caps.data[1].permitted);
    std::uint64_t mask = 0;
    for (int number = 0; number <= highest_possible; ++number) {
        if ((of & bit(number)) == 0) continue;
        const int there = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (there < 0) break;  // EINVAL: above the last one this kernel has
        if (there == 1 && (permitted & bit(number)) != 0) mask |= bit(number);
    }
    return mask;
}

CapabilitySets parse_capabilities(const oci::Capabilities& config, std::vector<std::string>& warnings,
                                  std::uint64_t grantable) {
    CapabilitySets sets;
    sets.bounding = mask_of(config.bounding, grantable, warnings);
    sets.permitted = mask_of(config.permitted, grantable, warnings);
    sets.inheritable = mask_of(config.inheritable, grantable, warnings);
    sets.effective = mask_of(config.effective, grantable, warnings);
    sets.ambient = mask_of(config.ambient, grantable, warnings);
    // The kernel refuses the whole call for one bit too many (capset(2), prctl(2) PR_CAP_AMBIENT_RAISE).
    if (const auto extra = sets.effective & ~sets.permitted; extra != 0) {
        warnings.push_back("process.capabilities.effective: not in permitted and left out: " + names_of(extra));
        sets.effective &= sets.permitted;
    }
    if (const auto extra = sets.ambient & ~(sets.permitted & sets.inheritable); extra != 0) {
        warnings.push_back("process.capabilities.ambient: not in both permitted and inheritable and left out: " +
                           names_of(extra));
        sets.ambient &= sets.permitted & sets.inheritable;
    }
    return sets;
}

CapabilitySets parse_capabilities(const oci::Capabilities& config, std::vector<std::string>& warnings) {
    std::uint64_t named = 0;
    for (const auto* list :
         {&config.bounding, &config.permitted, &config.inheritable, &config.effective, &config.ambient}) {
        for (const auto& name : *list) {
            if (const int number = capability_number(name); number >= 0) named |= bit(number);
        }
    }
    return parse_capabilities(config, warnings, grantable_capabilities(named));
}

void drop_bounding(const CapabilitySets& sets) {
    for (int number = 0; number <= highest_possible; ++number) {
        if ((sets.bounding & bit(number)) != 0) continue;
        if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0) continue;
        const int err = errno;
        if (err == EINVAL) break;
        // Without CAP_SETPCAP nothing can be dropped; that is an error only where something is there to drop.
        if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 0) continue;
        throw_errno(err, "drop ", names_of(bit(number)), " from the bounding set");
    }
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) throw_errno(errno, "prctl PR_SET_KEEPCAPS");
}

void apply_capabilities(const CapabilitySets& sets) {
    CapData caps;
    for (std::size_t i = 0; i < caps.data.size(); ++i) {
        const auto half = [&](std::uint64_t mask) { return static_cast<std::uint32_t>(mask >> (i * word)); };
        caps.data[i].effective = half(sets.effective);
        caps.data[i].permitted = half(sets.permitted);
        caps.data[i].inheritable = half(sets.inheritable);
    }
    if (::syscall(SYS_capset, &caps.header, caps.data.data()) != 0) {
        throw_errno(errno, "set process.capabilities (permitted ", names_of(sets.permitted), ")");
    }
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        throw_errno(errno, "clear the ambient capabilities");
    }
    for (int number = 0; number <= highest_possible; ++number) {
        if ((sets.ambient & bit(number)) == 0) continue;
        if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0) {
            throw_errno(errno, "raise the ambient capability ", names_of(bit(number)));
        }
    }
    // Read back: a drop without effect has been a hole elsewhere (reference: apptainer CVE-2023-38496).
    CapData now;
    if (::syscall(SYS_capget, &now.header, now.data.data()) != 0) throw_errno(errno, "capget");
    for (std::size_t i = 0; i < now.data.size(); ++i) {
        if (now.data[i].effective != caps.data[i].effective || now.data[i].permitted != caps.data[i].permitted ||
            now.data[i].inheritable != caps.data[i].inheritable) {
            throw Error(ErrorKind::denied, "set process.capabilities: the kernel keeps other sets than asked for");
        }
    }
}

}  // namespace locald::shim
