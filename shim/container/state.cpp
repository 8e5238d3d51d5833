#include "shim/container/state.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/timestamp.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/start_socket.hpp"
#include "shim/mounts/rootfs.hpp"
#include "shim/start/weakness.h"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr const char* state_name = "state.json";
constexpr const char* lock_name = "lock";
constexpr const char* spec_name = "config.json";
constexpr const char* filter_name = "seccomp";
constexpr const char* socket_name = "start";
constexpr std::size_t most_kept = 32U << 20U;

/// A state says which processes to end and which cgroups to remove: nobody else may have written it, wherever --root
/// leads to (CVE-2022-31214).
void check_ours(const UniqueFd& dir, const std::string& id) {
    const struct stat st = posix::fstat(dir, id);
    if (st.st_uid == ::geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0) return;
    throw Error(ErrorKind::denied,
                id + ": its state directory is not ours alone (owner " + std::to_string(st.st_uid) + ")")
        .with_remedy("use the --root that its owner used, as that user");
}

/// `.<id>.<pid>`: no id begins with a dot.
std::string number_name(const std::string& id) { return "." + id + "." + std::to_string(::getpid()); }

std::vector<std::string> names_in(const UniqueFd& directory) {
    struct Close {
        void operator()(DIR* dir) const noexcept { ::closedir(dir); }
    };
    std::vector<std::string> names;
    UniqueFd copy = posix::openat(directory, ".", O_RDONLY | O_DIRECTORY);
    const std::unique_ptr<DIR, Close> dir(::fdopendir(copy.get()));
    if (!dir) throw_errno(errno, "read the state directory");
    static_cast<void>(copy.release());
    for (const dirent* entry = nullptr; (entry = ::readdir(dir.get())) != nullptr;) names.emplace_back(entry->d_name);
    return names;
}

}  // namespace

Record new_record(const oci::Spec& spec, const std::string& id, const std::string& bundle) {
    Record record;
    record.state.oci_version = "1.3.0";
    record.state.id = id;
    record.state.status = "creating";
    record.state.bundle = bundle;
    record.state.rootfs = root_path(spec, bundle);
    record.state.created = timestamp_now();
    record.state.annotations = spec.annotations;
    record.shim_pid = ::getpid();
    return record;
}

StateDir StateDir::create(const UniqueFd& root, const std::string& id) {
    StateDir result;
    result.root_.reset(::fcntl(root.get(), F_DUPFD_CLOEXEC, 3));
    result.id_ = id;
    // Made under a name that is no id and moved into place with the lock held, so that no `delete` finds it unlocked.
    const std::string temporary = number_name(id);
    if (::mkdirat(root.get(), temporary.c_str(), 0700) != 0) {
        if (errno != EEXIST) throw_errno(errno, "make state directory of ", id);
        posix::remove_tree_at(root, temporary);  // of a process with our pid that was killed here
        if (::mkdirat(root.get(), temporary.c_str(), 0700) != 0) throw_errno(errno, "make state directory of ", id);
    }
    try {
        result.dir_ = posix::openat(root, temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        result.lock_ = posix::openat(result.dir_, lock_name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (::flock(result.lock_.get(), LOCK_EX | LOCK_NB) != 0) throw_errno(errno, "lock state of ", id);
        if (::syscall(SYS_renameat2, root.get(), temporary.c_str(), root.get(), id.c_str(), RENAME_NOREPLACE) == 0)
            return result;
        if (errno != EEXIST) throw_errno(errno, "make state directory of ", id);
    } catch (...) {
        posix::remove_tree_at(root, temporary);
        throw;
    }
    posix::remove_tree_at(root, temporary);
    Error error(ErrorKind::exists, id + ": container with given ID already exists", EEXIST);
    try {
        StateDir there = open(root, id);
        if (!there.locked_by_other() && there.status(there.read()) == "stopped") {
            error.with_remedy("it has ended: `locald-shim delete " + id + "` removes what it left");
        }
    } catch (const Error&) {
        // It was removed between the two looks; the plain error is still true.
    }
    throw error;
}

StateDir StateDir::open(const UniqueFd& root, const std::string& id) {
    StateDir result;
    result.id_ = id;
    if (root) {
        result.root_.reset(::fcntl(root.get(), F_DUPFD_CLOEXEC, 3));
        result.dir_.reset(::openat(root.get(), id.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!result.dir_) {
        if (root && errno != ENOENT) throw_errno(errno, "open state of ", id);
        throw Error(ErrorKind::not_found, id + ": container does not exist", ENOENT);
    }
    check_ours(result.dir_, id);
    result.lock_.reset(::openat(result.dir_.get(), lock_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!result.lock_ && errno != ENOENT) throw_errno(errno, "open lock of ", id);
    result.written_ = true;
    return result;
}

void StateDir::write(const Record& record) {
    // Renamed into place after the first time; a half-written first file means that nothing was done yet.
    const char* name = written_ ? "state.json.new" : state_name;
    const UniqueFd file = posix::openat(dir_, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    posix::write_all(file, to_json(record), "state.json");
    if (written_ && ::renameat(dir_.get(), name, dir_.get(), state_name) != 0) {
        throw_errno(errno, "rename state.json.new");
    }
    written_ = true;
}

Record StateDir::read() const {
    const UniqueFd file(::openat(dir_.get(), state_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file) throw_errno(errno, "open state.json of ", id_);
    return parse_record(posix::read_all(file, "state.json", 16U << 20U));
}

void StateDir::keep(const char* name, const std::string& text) const {
    const UniqueFd file = posix::openat(dir_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    posix::write_all(file, text, name);
}

std::string StateDir::read_kept(const char* name, bool may_miss) const {
    const UniqueFd file(::openat(dir_.get(), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file && errno == ENOENT && may_miss) return {};
    if (!file) throw_errno(errno, "open ", name, " of ", id_);
    return posix::read_all(file, name, most_kept);
}

void StateDir::keep_spec(const oci::Spec& spec) const {
    oci::Spec reduced;
    reduced.oci_version = spec.oci_version;
    reduced.root = spec.root;
    reduced.process = spec.process;
    // The others are in the state, and may be long.
    for (const auto& [key, value] : spec.annotations) {
        if (key.starts_with("run.oci.")) reduced.annotations.emplace(key, value);
    }
    if (spec.hooks) {
        reduced.hooks.emplace();
        reduced.hooks->poststart = spec.hooks->poststart;
        reduced.hooks->poststop = spec.hooks->poststop;
    }
    auto& kept = reduced.linux_.emplace();
    if (spec.linux_) {
        kept.namespaces = spec.linux_->namespaces;
        kept.uid_mappings = spec.linux_->uid_mappings;
        kept.gid_mappings = spec.linux_->gid_mappings;
        kept.personality = spec.linux_->personality;
        kept.intel_rdt = spec.linux_->intel_rdt;
    }
    keep(spec_name, oci::to_json(reduced, false));
}

oci::Spec StateDir::read_spec() const { return oci::parse_spec(read_kept(spec_name, false)); }

void StateDir::keep_filter(const std::string& filter) const {
    if (!filter.empty()) keep(filter_name, filter);
}

std::string StateDir::read_filter() const { return read_kept(filter_name, true); }

std::string StateDir::owner_name() const {
    struct stat st {};
    if (::fstat(dir_.get(), &st) != 0) return {};
    // By the text of /etc/passwd: a static program must not load the modules of NSS.
    const std::string name = posix::user_name(st.st_uid);
    return name.empty() ? "#" + std::to_string(st.st_uid) : name;
}

void StateDir::mark_cgroups_made() const { posix::write_all(lock_, "c", "lock"); }

bool StateDir::cgroups_made() const {
    struct stat st {};
    return lock_ && ::fstat(lock_.get(), &st) == 0 && st.st_size > 0;
}

void StateDir::mark_cgroups_grown() const {
    if (::pwrite(lock_.get(), "g", 1, 1) != 1) throw_errno(errno, "write to the lock of ", id_);
}

bool StateDir::cgroups_grown() const {
    struct stat st {};
    return lock_ && ::fstat(lock_.get(), &st) == 0 && st.st_size > 1;
}

bool StateDir::locked_by_other() {
    if (!lock_) return false;
    if (::flock(lock_.get(), LOCK_SH | LOCK_NB) != 0) return true;
    ::flock(lock_.get(), LOCK_UN);
    return false;
}

bool StateDir::take_lock(bool& gone) {
    gone = false;
    if (lock_ && ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) return false;
    struct stat ours {};
    struct stat there {};
    if (::fstat(dir_.get(), &ours) != 0 || ::fstatat(root_.get(), id_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        ours.st_ino != there.st_ino || ours.st_dev != there.st_dev) {
        gone = true;
        return false;
    }
    return true;
}

void StateDir::wait_for_lock() {
    constexpr int ticks = 2000;
    for (int tick = 0; tick < ticks; ++tick) {
        bool gone = false;
        if (take_lock(gone)) return;
        if (gone) throw Error(ErrorKind::not_found, id_ + ": container does not exist", ENOENT);
        const timespec pause{0, 5 * 1000000L};
        ::nanosleep(&pause, nullptr);
    }
    throw Error(ErrorKind::unavailable, id_ + ": another runtime process is at work on this container")
        .with_remedy("try again, or `locald-shim delete --force " + id_ + "`");
}

std::string StateDir::status(const Record& record) {
    return status(record, record.state.pid > 0 && process_start_time(record.state.pid) == record.start_time);
}

std::string StateDir::status(const Record& record, bool alive) {
    if (record.state.status == "creating") return alive || locked_by_other() ? "creating" : "stopped";
    if (!alive) return "stopped";
    if (is_frozen(record.cgroups)) return "paused";
    if (record.state.status == "created") return connect_to_waiting(dir_) ? "created" : "running";
    return record.state.status;
}

void StateDir::remove() {
    const auto unlink_all = [this](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            if (::unlinkat(dir_.get(), name, 0) != 0 && errno != ENOENT) {
                throw_errno(errno, "remove ", name, " of ", id_);
            }
        }
    };
    unlink_all({state_name, spec_name, lock_name});
    if (::unlinkat(root_.get(), id_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    unlink_all({"state.json.new", filter_name, socket_name});
    posix::remove_tree_at(dir_, "notify");
    if (::unlinkat(root_.get(), id_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    if (errno != ENOTEMPTY) throw_errno(errno, "remove state directory of ", id_);
    posix::remove_tree_at(root_, id_);  // another version's files, or nobody's
}

void sweep_unborn(const UniqueFd& root) {
    for (const auto& name : names_in(root)) {
        const auto dot = name.find_last_of('.');
        if (name.front() != '.' || dot == 0) continue;
        const auto pid = parse_u64(std::string_view(name).substr(dot + 1));
        if (!pid || *pid == 0 || *pid > std::numeric_limits<int>::max()) continue;
        if (::kill(static_cast<pid_t>(*pid), 0) == 0 || errno != ESRCH) continue;
        posix::remove_tree_at(root, name);
    }
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
    if (pid <= 0) return std::nullopt;
    const UniqueFd file(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return std::nullopt;
    std::string text(1024, '\0');
    const ssize_t n = ::read(file.get(), text.data(), text.size());
    if (n <= 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(n));
    // Field 2 is the program's name in parentheses and may hold anything, parentheses too.
    const auto end = text.rfind(')');
    if (end == std::string::npos || end + 2 >= text.size()) return std::nullopt;
    const auto fields = split(std::string_view(text).substr(end + 2), ' ');
    constexpr std::size_t state_field = 3 - 3;
    constexpr std::size_t start_field = 22 - 3;
    if (fields.size() <= start_field || fields[state_field] == "Z" || fields[state_field] == "X") return std::nullopt;
    return parse_u64(fields[start_field]);
}

UniqueFd open_process(const Record& record) {
    if (record.state.pid <= 0) return {};
    UniqueFd process;
    try {
        process = posix::pidfd_open(record.state.pid);
    } catch (const Error& e) {
        if (e.os_errno() == ESRCH) return {};
        throw;
    }
    // Compared after the handle is held: from here on the number cannot be given to another process.
    if (!locald_weak("weak-number") && process_start_time(record.state.pid) != record.start_time) return {};
    return process;
}

oci::State state_now(StateDir dir) {
    Record record = dir.read();
    record.state.status = dir.status(record);
    if (record.state.status == "stopped") record.state.pid = 0;
    record.state.owner = dir.owner_name();
    return record.state;
}

std::vector<std::string> list_ids(const UniqueFd& root) {
    auto ids = names_in(root);
    std::erase_if(ids, [&](const std::string& name) {
        struct stat st {};
        return !is_container_id(name) || ::fstatat(root.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
               !S_ISDIR(st.st_mode);
    });
    std::sort(ids.begin(), ids.end());
    return ids;
}

void wait_for_end(const UniqueFd& process) {
    pollfd watched{process.get(), POLLIN, 0};
    while (::poll(&watched, 1, 5000) < 0 && errno == EINTR) {
    }
}

}  // namespace locald::shim
