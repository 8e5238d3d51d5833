#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

struct LimitName {
    std::string_view name;
    int resource;
};

// getrlimit(2); the spec takes exactly these names.
constexpr std::array limit_names{
    LimitName{"RLIMIT_AS", RLIMIT_AS},
    LimitName{"RLIMIT_CORE", RLIMIT_CORE},
    LimitName{"RLIMIT_CPU", RLIMIT_CPU},
    LimitName{"RLIMIT_DATA", RLIMIT_DATA},
    LimitName{"RLIMIT_FSIZE", RLIMIT_FSIZE},
    LimitName{"RLIMIT_LOCKS", RLIMIT_LOCKS},
    LimitName{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    LimitName{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    LimitName{"RLIMIT_NICE", RLIMIT_NICE},
    LimitName{"RLIMIT_NOFILE", RLIMIT_NOFILE},
    LimitName{"RLIMIT_NPROC", RLIMIT_NPROC},
    LimitName{"RLIMIT_RSS", RLIMIT_RSS},
    LimitName{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    LimitName{"RLIMIT_RTTIME", RLIMIT_RTTIME},
    LimitName{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    LimitName{"RLIMIT_STACK", RLIMIT_STACK},
};

std::string shown(std::uint64_t value) { return value == RLIM_INFINITY ? "unlimited" : std::to_string(value); }

}  // namespace

int rlimit_number(const std::string& name) {
    for (const auto& entry : limit_names) {
        if (entry.name == name) return entry.resource;
    }
    return -1;
}

void check_rlimits(const std::vector<oci::Rlimit>& limits) {
    for (std::size_t i = 0; i < limits.size(); ++i) {
        const auto& limit = limits[i];
        if (rlimit_number(limit.type) < 0) {
            throw Error(ErrorKind::invalid, "process.rlimits[" + std::to_string(i) +
                                                "].type: wrong rlimit value: " + json_quote(limit.type))
                .with_remedy("use a name of getrlimit(2), such as RLIMIT_NOFILE");
        }
        if (limit.soft > limit.hard) {
            throw Error(ErrorKind::invalid, "process.rlimits[" + std::to_string(i) + "]: " + limit.type + ": soft " +
                                                shown(limit.soft) + " is above hard " + shown(limit.hard))
                .with_remedy("raise hard or lower soft");
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (limits[j].type == limit.type) {
                throw Error(ErrorKind::invalid, "process.rlimits[" + std::to_string(i) + "]: duplicate " + limit.type)
                    .with_remedy("keep one of the two");
            }
        }
    }
}

void set_rlimits(const std::vector<oci::Rlimit>& limits) {
    check_rlimits(limits);
    for (const auto& limit : limits) {
        const int resource = rlimit_number(limit.type);
        const rlimit value{limit.soft, limit.hard};
        if (::syscall(SYS_prlimit64, 0, resource, &value, nullptr) == 0) continue;
        const int err = errno;
        rlimit now{};
        ::syscall(SYS_prlimit64, 0, resource, nullptr, &now);
        throw Error(kind_of_errno(err),
                    "set " + limit.type + " to " + shown(limit.soft) + ":" + shown(limit.hard) + ": " + errno_text(err),
                    err)
            .with_remedy("the hard limit here is " + shown(now.rlim_max) +
                         ", and raising it takes CAP_SYS_RESOURCE on the host: ask for less, or raise the caller's "
                         "limit first");
    }
}

}  // namespace locald::shim
