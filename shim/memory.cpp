// operator new and delete of the shim: a small arena that needs no system call, and free lists by size. A third of what
// the shim computed for a start was musl's malloc, whose care is for programs that live long: here are some thousand
// small objects, most of them gone before the container runs. Only the program itself has this, never a test, so that
// AddressSanitizer sees every object. The arena is the first thread's; what another one takes is malloc's.

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t unit = 16;           // what every block is aligned to, and the size of its header
constexpr std::size_t most_pooled = 1024;  // bytes with the header; larger blocks are malloc's
constexpr std::size_t arena_size = 512U << 10U;

struct Block {
    std::size_t units;  // 0: malloc's
    Block* next;        // while it is free
};
static_assert(sizeof(Block) == unit);

alignas(unit) constinit std::array<std::byte, arena_size> arena{};  // .bss: pages that are touched, no others
constinit std::size_t used = 0;
constinit std::array<Block*, most_pooled / unit + 1> free_blocks{};
constinit const void* owner = nullptr;

bool is_owner() noexcept {
    const void* thread = __builtin_thread_pointer();
    if (owner == nullptr) owner = thread;  // the first object is made before any second thread
    return owner == thread;
}

void* from_malloc(std::size_t size) noexcept {
    auto* block = size > size + unit ? nullptr : static_cast<Block*>(std::malloc(size + unit));
    if (block == nullptr) return nullptr;
    block->units = 0;
    return block + 1;
}

void* take(std::size_t size) noexcept {
    if (size > most_pooled - unit || !is_owner()) return from_malloc(size);
    const std::size_t units = (size + 2 * unit - 1) / unit;
    Block* block = free_blocks[units];
    if (block != nullptr) {
        free_blocks[units] = block->next;
        return block + 1;
    }
    if (arena_size - used < units * unit) return from_malloc(size);
    block = reinterpret_cast<Block*>(arena.data() + used);
    used += units * unit;
    block->units = units;
    return block + 1;
}

void give_back(void* memory) noexcept {
    if (memory == nullptr) return;
    Block* block = static_cast<Block*>(memory) - 1;
    if (block->units == 0) {
        std::free(block);
        return;
    }
    if (!is_owner()) return;  // lost, which is better than a list that two threads write
    block->next = free_blocks[block->units];
    free_blocks[block->units] = block;
}

}  // namespace

void* operator new(std::size_t size) {
    void* memory = take(size);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept { return take(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { give_back(memory); }
