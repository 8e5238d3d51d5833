#include "shim/cgroup/intel_rdt.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::size_t most_schemata = 1U << 20U;

[[noreturn]] void refuse(const std::string& field, const std::string& what) {
    throw Error(ErrorKind::invalid, "linux.intelRdt." + field + ": " + what);
}

/// All that is to be written, a line each. A bandwidth line hidden in l3CacheSchema gives way to memBwSchema.
std::vector<std::string> wanted_lines(const oci::IntelRdt& rdt) {
    std::vector<std::string> lines;
    for (const auto line : split(rdt.l3_cache_schema, '\n')) {
        if (!line.empty() && (rdt.mem_bw_schema.empty() || !line.starts_with("MB:"))) lines.emplace_back(line);
    }
    if (!rdt.mem_bw_schema.empty()) lines.push_back(rdt.mem_bw_schema);
    for (const auto& entry : rdt.schemata) {
        for (const auto line : split(entry, '\n')) {
            if (!line.empty()) lines.emplace_back(line);
        }
    }
    return lines;
}

using Schema = std::map<std::string, std::string, std::less<>>;

/// `0=7f0;1=01f` as domain → value; leading zeros and blanks are the writer's habit.
Schema domains_of(std::string_view text) {
    Schema domains;
    for (const auto part : split(text, ';')) {
        const auto equals = part.find('=');
        if (equals == std::string_view::npos) continue;
        auto value = trim(part.substr(equals + 1));
        while (value.size() > 1 && value.front() == '0') value.remove_prefix(1);
        domains.insert_or_assign(std::string(trim(part.substr(0, equals))), std::string(value));
    }
    return domains;
}

/// True when the group's schemata say what `line` asks for, about every domain that it names.
bool says(const std::string& schemata, std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    for (const auto have : split(schemata, '\n')) {
        const auto text = trim(have);
        if (trim(text.substr(0, text.find(':'))) != trim(line.substr(0, colon))) continue;
        const auto there = domains_of(text.substr(text.find(':') + 1));
        const auto wanted = domains_of(line.substr(colon + 1));
        return std::all_of(wanted.begin(), wanted.end(), [&](const auto& entry) {
            const auto found = there.find(entry.first);
            return found != there.end() && found->second == entry.second;
        });
    }
    return false;
}

UniqueFd open_dir(const UniqueFd& parent, const std::string& name) {
    return posix::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// Makes the directory where it is missing; true when it was.
bool make_dir(const UniqueFd& parent, const std::string& name, const std::string& what) {
    if (::mkdirat(parent.get(), name.c_str(), 0755) == 0) return true;
    const int err = errno;
    if (err == EEXIST) return false;
    Error error(kind_of_errno(err), what + ": make group " + name + ": " + errno_text(err), err);
    if (err == ENOSPC) error.with_remedy("the processor has no class of service left: share one by closID");
    throw error;
}

/// Writes of one line each, so that the kernel's refusal belongs to a line.
void write_lines(const UniqueFd& group, const std::vector<std::string>& lines) {
    for (const auto& line : lines) {
        const UniqueFd file = posix::openat(group, "schemata", O_WRONLY | O_NOFOLLOW | O_APPEND);
        try {
            posix::write_all(file, line + "\n", "schemata");
        } catch (Error& e) {
            e.add_context("linux.intelRdt: write " + json_quote(line));
            e.with_remedy("info/last_cmd_status in the resctrl file system says what the kernel dislikes");
            throw;
        }
    }
}

void add_task(const UniqueFd& group, pid_t pid) {
    const UniqueFd file = posix::openat(group, "tasks", O_WRONLY | O_NOFOLLOW | O_APPEND);
    in_step("linux.intelRdt", [&] { posix::write_all(file, std::to_string(pid) + "\n", "tasks"); });
}

UniqueFd enter_class(const oci::IntelRdt& rdt, const std::string& id, const UniqueFd& top) {
    const auto lines = wanted_lines(rdt);
    const std::string& name = rdt.clos_id.empty() ? id : rdt.clos_id;
    if (rdt.clos_id == "/") {
        UniqueFd group(::fcntl(top.get(), F_DUPFD_CLOEXEC, 3));
        write_lines(group, lines);
        return group;
    }
    if (!rdt.clos_id.empty() && lines.empty()) {
        try {
            return open_dir(top, name);
        } catch (Error& e) {
            e.add_context("linux.intelRdt.closID");
            e.with_remedy("without a schema the class of service must be there: make it, or say what it gets");
            throw;
        }
    }
    const bool made = make_dir(top, name, "linux.intelRdt.closID");
    UniqueFd group = open_dir(top, name);
    try {
        if (made || rdt.clos_id.empty()) {
            write_lines(group, lines);
            return group;
        }
        const std::string there =
            posix::read_all(posix::openat(group, "schemata", O_RDONLY | O_NOFOLLOW), "schemata", most_schemata);
        for (const auto& line : lines) {
            if (says(there, line)) continue;
            throw Error(ErrorKind::invalid, "linux.intelRdt.closID: " + json_quote(name) +
                                                " is there already and does not match " + json_quote(line))
                .with_remedy("choose another closID, or leave the schemata out to use it as it is");
        }
    } catch (const Error&) {
        if (made) ::unlinkat(top.get(), name.c_str(), AT_REMOVEDIR);
        throw;
    }
    return group;
}

}  // namespace

void check_intel_rdt(const oci::IntelRdt& rdt) {
    const std::string& clos = rdt.clos_id;
    if (clos == "." || clos == ".." || (clos != "/" && clos.find('/') != std::string::npos) ||
        clos.find('\n') != std::string::npos || clos == "info" || clos == "mon_groups" || clos == "mon_data") {
        refuse("closID", "invalid intelRdt.ClosID " + json_quote(clos));
    }
    if (rdt.mem_bw_schema.find('\n') != std::string::npos) refuse("memBwSchema", "must be one line");
    if (!rdt.mem_bw_schema.empty() && !rdt.mem_bw_schema.starts_with("MB:")) {
        refuse("memBwSchema", "must start with MB:, got " + json_quote(rdt.mem_bw_schema));
    }
    const auto lines = wanted_lines(rdt);
    for (const auto& line : lines) {
        if (line.find(':') == std::string::npos || line.find('=') == std::string::npos) {
            refuse("schemata", "expected a line such as L3:0=7f0;1=1f, got " + json_quote(line));
        }
    }
}

std::string find_resctrl(const std::string& mountinfo) {
    for (const auto line : split(mountinfo, '\n')) {
        const auto dash = line.find(" - ");
        if (dash == std::string_view::npos || !line.substr(dash + 3).starts_with("resctrl ")) continue;
        constexpr std::size_t mount_point = 4;
        const auto fields = split(line.substr(0, dash), ' ');
        if (fields.size() > mount_point) return std::string(fields[mount_point]);
    }
    throw Error(ErrorKind::unsupported, "linux.intelRdt: no resctrl file system is mounted")
        .with_remedy("mount -t resctrl resctrl /sys/fs/resctrl, on a processor and a kernel that have it");
}

std::string find_resctrl() { return find_resctrl(posix::read_file("/proc/self/mountinfo", 64U << 20U)); }

std::vector<std::string> plan_resctrl(const oci::IntelRdt& rdt, const std::string& id, const std::string& resctrl) {
    std::vector<std::string> groups;
    const std::string inside = rdt.clos_id.empty() ? "/" + id : rdt.clos_id == "/" ? "" : "/" + rdt.clos_id;
    if (rdt.enable_monitoring) groups.push_back(resctrl + inside + "/mon_groups/" + id);
    if (rdt.clos_id.empty()) groups.push_back(resctrl + inside);
    return groups;
}

void join_resctrl(const oci::IntelRdt& rdt, const std::string& id, pid_t pid, const std::string& resctrl) {
    const UniqueFd top = posix::open(resctrl, O_RDONLY | O_DIRECTORY);
    const UniqueFd group = enter_class(rdt, id, top);
    add_task(group, pid);
    if (!rdt.enable_monitoring) return;
    const UniqueFd all = in_step("linux.intelRdt.enableMonitoring", [&] { return open_dir(group, "mon_groups"); });
    make_dir(all, id, "linux.intelRdt.enableMonitoring");
    add_task(open_dir(all, id), pid);
}

void remove_resctrl(const std::vector<std::string>& groups) {
    for (const auto& group : groups) {
        if (::rmdir(group.c_str()) != 0 && errno != ENOENT) throw_errno(errno, "remove resctrl group ", group);
    }
}

}  // namespace locald::shim
