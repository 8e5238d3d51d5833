#include <sched.h>

#include <cerrno>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {
constexpr unsigned most_cpus = 8192;
}  // namespace

void set_cpu_affinity(const std::string& list, const char* field) {
    if (list.empty()) return;
    const auto cpus = parse_id_list(list, most_cpus);
    if (cpus.empty()) {
        throw Error(ErrorKind::invalid,
                    std::string(field) + ": expected a cpu list such as 0-3,7, got " + json_quote(list.substr(0, 64)));
    }
    std::vector<cpu_set_t> mask(most_cpus / CPU_SETSIZE);
    const std::size_t size = mask.size() * sizeof(cpu_set_t);
    for (auto& part : mask) CPU_ZERO(&part);
    for (const unsigned cpu : cpus) CPU_SET_S(cpu, size, mask.data());
    if (::sched_setaffinity(0, size, mask.data()) == 0) return;
    const int err = errno;
    throw Error(kind_of_errno(err), std::string(field) + ": run on cpus " + list + ": " + errno_text(err), err)
        .with_remedy("at least one of them must be online and in the cpuset of the cgroup");
}

}  // namespace locald::shim
