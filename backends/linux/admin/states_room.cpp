#include "backends/linux/admin/states_room.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/linux/admin/root_command.hpp"
#include "core/base/text.hpp"

namespace locald::backends::admin {

namespace {

constexpr const char* states = "/run/locald";

/// The directory with the most of it, by du, which goes as deep as a user nests.
std::string largest(const std::string& du, const char* unit) {
    std::uint64_t most = 0;
    std::string name;
    const std::string lines = run_root_program({du, "-x", unit, "--max-depth=1", states});
    for (const auto line : split(lines, '\n')) {
        const auto fields = split(line, '\t');
        const auto amount = fields.size() == 2 ? parse_u64(fields[0]) : std::nullopt;
        if (!amount || fields[1] == states || *amount <= most) continue;
        most = *amount;
        name = fields[1];
    }
    return name;
}

}  // namespace

void tell_room_of_states(const Work& work) {
    struct statfs fs {};
    if (::statfs(states, &fs) != 0 || fs.f_type != TMPFS_MAGIC) return;
    const bool no_bytes = fs.f_blocks > 0 && fs.f_bavail < fs.f_blocks / 10;
    const bool no_files = fs.f_files > 0 && fs.f_ffree < fs.f_files / 10;
    if (!no_bytes && !no_files) return;
    const std::string what = std::string("the file system of ") + states + " is nearly full (" +
                             (no_bytes ? "bytes" : "files") + "), and full it stops every user's starts";
    const std::string du = find_root_program("du");
    if (::geteuid() != 0 || du.empty()) {
        work.note("run.room", what, "sudo locald admin status");
        return;
    }
    const std::string name = largest(du, no_bytes ? "--block-size=1" : "--inodes");
    work.note("run.room", what + "; most of it is in " + name, "sudo ls -la " + name);
}

}  // namespace locald::backends::admin
