// The setuid prologue from its first call to its last, on a kernel that is made here: the fuzzer chooses argv, root's
// files, who owns them, and which system call fails with what. Whatever it chooses, the caller may have no right of
// root's at the end, no file of root's may be open, and no id may be mapped that root did not grant.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "shim/start/rights.h"
#include "tests/fuzz/fuzz_support.hpp"

extern "C" {
void locald_prologue(char** argv, char** envp);
void locald_forget_start(void);
long raw_call(long number, long a, long b, long c, long d, long e);
long raw_beside(void* args, long size, void (*body)(void*), void* argument);
}

namespace {

using locald::fuzz::take_part;

/// As need() of the others, which cannot tell of many things that must hold which one did not.
void need(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}
#define NEED(condition) need(condition, #condition)

constexpr unsigned caller = 1000;
constexpr unsigned callers_group = 1001;
constexpr std::uint32_t needed_to_map = 1U << CAP_SETUID;

struct Task {
    unsigned ruid = caller, euid = 0, suid = 0, rgid = callers_group, egid = callers_group, sgid = callers_group;
    std::uint32_t capabilities = 0xffffffffU;
    bool keeps = false, in_namespace = false;
};

struct File {
    std::string path, content;
    std::size_t at = 0;
    bool writable = false;
};

struct Kernel {
    std::map<std::string, std::string> files;
    std::string_view owners, failures;  // one byte a look, one a call
    std::map<int, File> open;
    std::map<std::string, std::string> written;
    Task task;
    std::jmp_buf* end = nullptr;
    std::uint64_t mask = 0x1234;
    int calls = 0, next_fd = 3, dumpable = 0, next_pid = 100;
    bool stood_by = false;
};

Kernel* kernel = nullptr;

long open_file(const char* path, int flags) {
    File file{path, {}, 0, (flags & O_ACCMODE) != O_RDONLY};
    const auto found = kernel->files.find(file.path);
    if (found != kernel->files.end()) {
        file.content = found->second;
    } else if (file.path.starts_with("/etc/") && file.path != "/etc/locald") {
        return -ENOENT;
    }
    NEED(!file.path.starts_with("/home"));
    kernel->open.emplace(kernel->next_fd, std::move(file));
    return kernel->next_fd++;
}

long look(long fd, struct statx* st) {
    std::memset(st, 0, sizeof *st);
    const auto found = kernel->open.find(static_cast<int>(fd));
    if (found == kernel->open.end()) return -EBADF;
    const bool directory = !kernel->files.contains(found->second.path);
    char how = 0;
    if (!kernel->owners.empty()) {
        how = kernel->owners.front();
        kernel->owners.remove_prefix(1);
    }
    st->stx_uid = how == 'u' ? caller : how == 'o' ? 4242 : 0;
    st->stx_mode = static_cast<std::uint16_t>((directory ? 0040755U : 0100644U) | (how == 'w' ? 022U : 0U));
    if (directory && found->second.path == std::to_string(caller)) st->stx_mode = 0040700;
    return 0;
}

long set_ids(unsigned& r, unsigned& e, unsigned& s, const std::array<long, 3>& wanted, std::uint32_t capability) {
    std::array<unsigned, 3> now{r, e, s};
    for (std::size_t i = 0; i < now.size(); ++i) {
        if (wanted[i] == -1) continue;
        const auto id = static_cast<unsigned>(wanted[i]);
        if ((kernel->task.capabilities & (1U << capability)) == 0 && id != r && id != e && id != s) return -EPERM;
        now[i] = id;
    }
    r = now[0];
    e = now[1];
    s = now[2];
    return 0;
}

long read_file(long fd, char* into, std::size_t size) {
    const auto found = kernel->open.find(static_cast<int>(fd));
    if (found == kernel->open.end()) return -EBADF;
    File& file = found->second;
    const std::size_t n = std::min(size, file.content.size() - file.at);
    std::memcpy(into, file.content.data() + file.at, n);
    file.at += n;
    return static_cast<long>(n);
}

long write_file(long fd, const char* text, std::size_t size) {
    if (fd == 2) return static_cast<long>(size);
    const auto found = kernel->open.find(static_cast<int>(fd));
    NEED(found != kernel->open.end() && found->second.writable);
    kernel->written[found->second.path] += std::string(text, size);
    if (found->second.path.ends_with("_map")) NEED((kernel->task.capabilities & needed_to_map) != 0);
    return static_cast<long>(size);
}

[[noreturn]] void leave(int value) { std::longjmp(*kernel->end, value); }

long answer(long number, long a, long b, long c, long d) {
    Task& task = kernel->task;
    switch (number) {
        case SYS_getresuid:
            *reinterpret_cast<unsigned*>(a) = task.ruid;
            *reinterpret_cast<unsigned*>(b) = task.euid;
            *reinterpret_cast<unsigned*>(c) = task.suid;
            return 0;
        case SYS_getresgid:
            *reinterpret_cast<unsigned*>(a) = task.rgid;
            *reinterpret_cast<unsigned*>(b) = task.egid;
            *reinterpret_cast<unsigned*>(c) = task.sgid;
            return 0;
        case SYS_setresuid: {
            const long result = set_ids(task.ruid, task.euid, task.suid, {a, b, c}, CAP_SETUID);
            if (result == 0 && task.euid != 0 && !task.keeps) task.capabilities = 0;
            return result;
        }
        case SYS_setresgid:
            return set_ids(task.rgid, task.egid, task.sgid, {a, b, c}, CAP_SETGID);
        case SYS_capget: {
            auto* data = reinterpret_cast<__user_cap_data_struct*>(b);
            data[0] = {task.capabilities, task.capabilities, 0};
            data[1] = {0, 0, 0};
            return 0;
        }
        case SYS_capset: {
            const auto wanted = reinterpret_cast<const __user_cap_data_struct*>(b)[0].permitted;
            if ((wanted & ~task.capabilities) != 0) return -EPERM;
            task.capabilities = wanted;
            return 0;
        }
        case SYS_prctl:
            if (a == PR_SET_KEEPCAPS) task.keeps = b != 0;
            if (a == PR_SET_DUMPABLE) kernel->dumpable = static_cast<int>(b);
            return 0;
        case SYS_rt_sigprocmask: {
            auto* old = reinterpret_cast<std::uint64_t*>(c);
            if (old != nullptr) *old = kernel->mask;
            kernel->mask = *reinterpret_cast<const std::uint64_t*>(b);
            return 0;
        }
        case SYS_openat:
            return open_file(reinterpret_cast<const char*>(b), static_cast<int>(c));
        case SYS_openat2: {
            const auto* how = reinterpret_cast<const open_how*>(c);
            const char* path = reinterpret_cast<const char*>(b);
            if ((how->resolve & RESOLVE_BENEATH) != 0 && *path == '/') return -EXDEV;
            return open_file(path, static_cast<int>(how->flags));
        }
        case SYS_close:
            if (a <= 2) return 0;
            return kernel->open.erase(static_cast<int>(a)) == 1 ? 0 : -EBADF;
        case SYS_read:
            return read_file(a, reinterpret_cast<char*>(b), static_cast<std::size_t>(c));
        case SYS_write:
            return write_file(a, reinterpret_cast<const char*>(b), static_cast<std::size_t>(c));
        case SYS_statx:
            return look(a, reinterpret_cast<struct statx*>(reinterpret_cast<void*>(d == 0 ? 0 : d)));
        case SYS_fstatfs: {
            const auto found = kernel->open.find(static_cast<int>(a));
            const bool proc = found != kernel->open.end() && found->second.path == "/proc";
            auto* fs = reinterpret_cast<struct statfs*>(b);
            std::memset(fs, 0, sizeof *fs);
            fs->f_type = proc ? PROC_SUPER_MAGIC : CGROUP2_SUPER_MAGIC;
            return 0;
        }
        case SYS_futex:
            // Who waits here is asleep for good: nobody else runs until it is left.
            if (b == FUTEX_WAIT) {
                kernel->stood_by = true;
                leave(2);
            }
            return 0;
        case SYS_exit_group:
            leave(1);
        case SYS_getpid:
        case SYS_getppid:
            return 77;
        default:
            return 0;
    }
}

/// What root granted, by another reader than the one under test: 0 and the caller's own id are in no range.
bool granted(const std::string& file, unsigned own, std::uint64_t first, std::uint64_t count) {
    if (first == own && count == 1) return true;
    std::string_view rest = file;
    while (!rest.empty()) {
        std::string_view line = take_part(rest, '\n');
        std::string text(line);
        const auto one = text.find(':');
        const auto two = one == std::string::npos ? one : text.find(':', one + 1);
        if (two == std::string::npos) continue;
        const std::uint64_t from = std::strtoull(text.c_str() + one + 1, nullptr, 10);
        const std::uint64_t many = std::strtoull(text.c_str() + two + 1, nullptr, 10);
        if (first >= from && first + count <= from + many && first != 0) return !(own >= first && own < first + count);
    }
    return false;
}

void check_map(const std::string& text, const std::string& file, unsigned own) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string line(take_part(rest, '\n'));
        char* end = nullptr;
        std::strtoull(line.c_str(), &end, 10);
        const std::uint64_t first = std::strtoull(end, &end, 10);
        const std::uint64_t count = std::strtoull(end, &end, 10);
        NEED(*end == 0 && count > 0 && granted(file, own, first, count));
    }
}

}  // namespace

long raw_call(long number, long a, long b, long c, long d, long e) {
    // What only says who one is does not fail in a kernel either.
    const bool can_fail = number != SYS_exit_group && number != SYS_close && number != SYS_futex &&
                          number != SYS_getresuid && number != SYS_getresgid && number != SYS_rt_sigprocmask &&
                          number != SYS_prctl;
    if (can_fail && !kernel->failures.empty()) {
        const auto how = static_cast<unsigned char>(kernel->failures.front());
        kernel->failures.remove_prefix(1);
        if (how > 0xf0U) return -static_cast<long>(how & 0x0fU) - 1;
    }
    NEED(++kernel->calls < 200000);
    return number == SYS_statx ? look(a, reinterpret_cast<struct statx*>(e)) : answer(number, a, b, c, d);
}

long raw_beside(void* args, long, void (*body)(void*), void* argument) {
    const auto* wanted = static_cast<const clone_args*>(args);
    NEED((wanted->flags & CLONE_VM) != 0 && (wanted->flags & CLONE_THREAD) == 0);
    const Task parent = kernel->task;
    std::jmp_buf* const outer = kernel->end;
    std::jmp_buf here;
    const int pid = kernel->next_pid++;
    kernel->end = &here;
    const int how = setjmp(here);
    if (how == 0) {
        if ((wanted->flags & CLONE_NEWUSER) != 0) {
            kernel->task.in_namespace = true;
            kernel->task.capabilities = 0xffffffffU;  // of the new namespace alone
        }
        body(argument);
        std::abort();  // it never comes back
    }
    // Who sleeps beside us for the rest has no right of root's.
    if (how == 2 && !kernel->task.in_namespace) NEED(kernel->task.capabilities == 0 && kernel->task.euid == caller);
    kernel->end = outer;
    kernel->task = parent;
    return pid;
}

/// Parts of the input, cut at NULs: failures, owners, policy, passwd, group, subuid, subgid, /proc/self/cgroup, argv.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text = locald::fuzz::text_of(data, size);
    Kernel now;
    kernel = &now;
    now.failures = take_part(text, '\0');
    now.owners = take_part(text, '\0');
    for (const char* name :
         {"/etc/locald/shim.conf", "/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid", "/proc/self/cgroup"}) {
        const std::string_view part = take_part(text, '\0');
        if (part != "-") now.files.emplace(name, part);
    }
    std::vector<std::string> words;
    while (!text.empty() && words.size() < 64) words.emplace_back(take_part(text, '\0'));
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::string variable = "LD_PRELOAD=x";
    std::array<char*, 2> environment{variable.data(), nullptr};

    locald_forget_start();
    std::jmp_buf end;
    now.end = &end;
    if (setjmp(end) != 0) return 0;  // it died: nothing ran
    locald_prologue(argv.data(), environment.data());

    const Task& task = now.task;
    NEED(task.ruid == caller && task.euid == caller && task.suid == caller && task.capabilities == 0);
    NEED(task.rgid == callers_group && task.egid == callers_group && task.sgid == callers_group);
    NEED(environment[0] == variable.data() && now.mask == 0x1234 && now.dumpable == 1);
    for (const auto& [fd, file] : now.open)
        need(fd == locald_rights.user_namespace && !file.writable, ("open in the end: " + file.path).c_str());
    for (const auto& [path, content] : now.written) {
        if (path.ends_with("/uid_map")) check_map(content, now.files["/etc/subuid"], caller);
        if (path.ends_with("/gid_map")) check_map(content, now.files["/etc/subgid"], callers_group);
    }
    NEED(locald_rights.mode == locald_refused || locald_rights.words[0] == 0);
    return 0;
}
