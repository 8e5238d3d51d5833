#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "core/base/error.hpp"

namespace locald::shim {

/// Ends this process also where a seccomp filter answers exit_group(2) with an error: a C library would try for ever.
[[noreturn]] inline void end_process(int code) noexcept {
    ::syscall(SYS_exit_group, code);
    ::syscall(SYS_exit, code);
    __builtin_trap();
}

/// A flag in memory that a process and its later children share. Unlike a message it wakes nobody: on a busy machine a
/// parent woken a moment before execve cost the child its turn (4 ms seen).
class SharedFlag {
public:
    SharedFlag() {
        void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw_errno(errno, "mmap a shared flag");
        shared_ = new (page) Shared;
    }
    ~SharedFlag() { ::munmap(shared_, sizeof(Shared)); }
    SharedFlag(const SharedFlag&) = delete;
    SharedFlag& operator=(const SharedFlag&) = delete;

    void set() noexcept { shared_->flag.store(true); }
    bool is_set() const noexcept { return shared_->flag.load(); }

    /// What came after it failed: said without a system call, because a filter may forbid the one that would tell.
    void fail(int err) noexcept { shared_->error.store(err); }
    int error() const noexcept { return shared_->error.load(); }

private:
    struct Shared {
        std::atomic<bool> flag{false};
        std::atomic<int> error{0};
    };
    Shared* shared_ = nullptr;
};

}  // namespace locald::shim
