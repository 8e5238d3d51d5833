#include "shim/mounts/bind_sources.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/mounts/idmapped.hpp"
#include "shim/mounts/mount_api.hpp"

namespace locald::shim {

using posix::UniqueFd;

void open_bind_source(PreparedMount& prepared, const UniqueFd& containers) {
    const MountOptions& options = prepared.options;
    const std::string what = mount_text(prepared);
    try {
        prepared.tree = clone_mount(UniqueFd(), prepared.source, options.recursive_bind,
                                    options.source_nofollow || options.copy_symlink);
    } catch (Error& e) {
        e.add_context(what);
        if (e.os_errno() == ENOENT) e.with_remedy("make " + prepared.source + " first");
        if (e.os_errno() == EINVAL && !options.recursive_bind) {
            e.with_remedy("in a user namespace a directory with mounts below it can only be bound with rbind");
        }
        throw;
    }
    if (!prepared.idmapped) return;
    const UniqueFd& maps = prepared.user_namespace ? prepared.user_namespace : containers;
    if (!maps) throw Error(ErrorKind::system, what + ": no user namespace to map the ids with");
    map_mount_ids(prepared.tree, options.recursive_idmap, maps, what);
}

BindSources::BindSources(const NamespacePlan& namespaces, const std::vector<PreparedMount>& mounts) : mounts_(mounts) {
    const bool binds = std::any_of(mounts.begin(), mounts.end(), [](const auto& m) { return m.options.is_bind(); });
    if (!binds || ::geteuid() != 0 || !namespaces.has(CLONE_NEWUSER)) return;
    auto [first, second] = posix::make_socket_pair();
    ours_ = std::move(first);
    theirs_ = std::move(second);
}

void BindSources::open(std::vector<PreparedMount>& mounts) {
    if (theirs_) {
        ours_.reset();
        posix::send_fd(theirs_, "m", posix::open("/proc/self/ns/mnt", O_RDONLY));
        posix::send_fd(theirs_, "u", posix::open("/proc/self/ns/user", O_RDONLY));
    }
    for (auto& prepared : mounts) {
        if (!prepared.options.is_bind()) continue;
        if (theirs_) {
            prepared.tree = posix::receive_fd(theirs_);
        } else {
            open_bind_source(prepared, UniqueFd());
        }
    }
    theirs_.reset();
}

void BindSources::server_main(const UniqueFd& tell) {
    try {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        const UniqueFd mount_namespace = posix::receive_fd(ours_);
        const UniqueFd user_namespace = posix::receive_fd(ours_);
        if (::setns(mount_namespace.get(), CLONE_NEWNS) != 0) throw_errno(errno, "join the container's mounts");
        for (const auto& mount : mounts_) {
            if (!mount.options.is_bind()) continue;
            auto& prepared = const_cast<PreparedMount&>(mount);  // this process's copy, which nobody reads again
            open_bind_source(prepared, user_namespace);
            posix::send_fd(ours_, "t", prepared.tree);
            prepared.tree.reset();
        }
        send(tell, Sync::mounted);
    } catch (const Error& e) {
        send_last_error(tell, e);
    }
    ::_exit(0);
}

void BindSources::serve() {
    if (!ours_) return;
    theirs_.reset();
    auto [words, tell] = posix::make_socket_pair();
    clone_args args{};
    args.exit_signal = SIGCHLD;
    server_ = posix::clone3(args);
    if (server_ == 0) server_main(tell);
    tell.reset();
    words_ = std::move(words);
}

void BindSources::finish() {
    if (server_ < 0) return;
    const auto reap = [&] {
        while (::waitpid(server_, nullptr, 0) < 0 && errno == EINTR) {
        }
        server_ = -1;
    };
    try {
        wait_for(words_, Sync::mounted);
    } catch (...) {
        reap();
        throw;  // with our end of the socket still open, so that the child waits there and says nothing instead
    }
    reap();
    ours_.reset();
}

MoreDescriptors::MoreDescriptors(std::size_t wanted) {
    rlimit limit{};
    constexpr std::size_t spare = 128;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || wanted + spare <= limit.rlim_cur) return;
    const rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted + spare);
    if (limit.rlim_cur > soft && ::setrlimit(RLIMIT_NOFILE, &limit) == 0) before_ = soft;
}

MoreDescriptors::~MoreDescriptors() {
    rlimit limit{};
    if (before_ == 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = before_;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace locald::shim
