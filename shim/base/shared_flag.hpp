#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "core/base/error.hpp"

namespace locald::shim {

/// A flag in memory that a process and its later children share. Unlike a message it wakes nobody: on a busy machine a
/// parent woken a moment before execve cost the child its turn (4 ms seen).
class SharedFlag {
public:
    SharedFlag() {
        void* page =
            ::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw_errno(errno, "mmap a shared flag");
        flag_ = new (page) std::atomic<bool>(false);
    }
    ~SharedFlag() { ::munmap(flag_, sizeof(std::atomic<bool>)); }
    SharedFlag(const SharedFlag&) = delete;
    SharedFlag& operator=(const SharedFlag&) = delete;

    void set() noexcept { flag_->store(true); }
    bool is_set() const noexcept { return flag_->load(); }

private:
    std::atomic<bool>* flag_ = nullptr;
};

}  // namespace locald::shim
