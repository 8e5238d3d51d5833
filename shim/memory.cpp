// operator new and delete of the shim: an arena that needs no system call, and free lists by size. A third of what the
// shim computed for a start was musl's malloc, whose care is for programs that live long: here are some thousand small
// objects, most of them gone before the container runs. Only the program itself has this, never a test, so that
// AddressSanitizer sees every object. The arena is the first thread's; what another one takes is malloc's.

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t unit = 16;  // what every block is aligned to, and the size of its header
constexpr std::size_t page = 4096, huge_page = 2U << 20U;
// Bytes with the header. Up to `fine` there is a list for each size, then four for each doubling; what is larger has
// pages of its own.
constexpr std::size_t fine = 1024, most_pooled = 64U << 10U;
constexpr std::size_t arena_size = 1U << 20U;

enum class Origin : std::uint32_t { arena, pages, malloc };

struct Block {
    std::uint32_t units = 0;  // of the arena's; of pages: how many
    Origin origin{};
    Block* next = nullptr;  // while it is free
};
static_assert(sizeof(Block) == unit);

alignas(unit) constinit std::array<std::byte, arena_size> arena{};  // .bss: pages that are touched, no others
constinit std::byte* free_room = arena.data();
constinit std::size_t room_left = arena_size;
constexpr std::size_t fine_lists = fine / unit, doublings = std::countr_zero(most_pooled / fine);
constinit std::array<Block*, fine_lists + 4 * doublings + 1> free_blocks{};
constinit const void* owner = nullptr;

bool is_owner() noexcept {
    const void* thread = __builtin_thread_pointer();
    if (owner == nullptr) owner = thread;  // the first object is made before any second thread
    return owner == thread;
}

/// The list for blocks of `units`, which become as many as its blocks have.
Block*& list_for(std::size_t& units) noexcept {
    if (units < fine_lists) return free_blocks[units];
    const auto quarter = static_cast<unsigned>(std::bit_width(units) - 3);  // a quarter of the power of two below
    const std::size_t quarters = (units + (std::size_t{1} << quarter) - 1) >> quarter;  // 4 to 8
    units = quarters << quarter;
    const std::size_t doubling = quarter + 2U - std::countr_zero(fine_lists);
    return free_blocks[fine_lists + 4 * doubling + quarters - 4];
}

void* map_pages(std::size_t length) noexcept {
    void* memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

/// Pages for a configuration of megabytes: of 2 MB each where the kernel has them, which spares it five hundred faults.
void* map_huge_pages(std::size_t length) noexcept {
    auto* memory = static_cast<std::byte*>(map_pages(length + huge_page));
    if (memory == nullptr) return nullptr;
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(memory) % huge_page;
    if (before > 0) ::munmap(memory, before);
    if (before < huge_page) ::munmap(memory + before + length, huge_page - before);
    ::madvise(memory + before, length, MADV_HUGEPAGE);
    return memory + before;
}

void* with_header(void* memory, std::size_t units, Origin origin) noexcept {
    if (memory == nullptr) return nullptr;
    return new (memory) Block{static_cast<std::uint32_t>(units), origin, nullptr} + 1;
}

void* own_pages(std::size_t size) noexcept {
    constexpr std::size_t most = std::size_t{1} << 40U;
    if (size > most) return nullptr;
    const bool huge = size >= huge_page;
    const std::size_t grain = huge ? huge_page : page;
    const std::size_t length = (size + unit + grain - 1) & ~(grain - 1);
    return with_header(huge ? map_huge_pages(length) : map_pages(length), length / page, Origin::pages);
}

bool more_room() noexcept {
    void* memory = map_huge_pages(huge_page);
    if (memory == nullptr) return false;
    free_room = static_cast<std::byte*>(memory);
    room_left = huge_page;
    return true;
}

void* take(std::size_t size) noexcept {
    if (!is_owner()) return size > size + unit ? nullptr : with_header(std::malloc(size + unit), 0, Origin::malloc);
    if (size > most_pooled - unit) return own_pages(size);
    std::size_t units = (size + 2 * unit - 1) / unit;
    Block*& list = list_for(units);
    if (Block* block = list) {
        list = block->next;
        return block + 1;
    }
    if (room_left < units * unit && !more_room()) return nullptr;
    std::byte* room = free_room;
    free_room += units * unit;
    room_left -= units * unit;
    return with_header(room, units, Origin::arena);
}

void give_back(void* memory) noexcept {
    if (memory == nullptr) return;
    Block* block = static_cast<Block*>(memory) - 1;
    if (block->origin == Origin::malloc) {
        std::free(block);
    } else if (block->origin == Origin::pages) {
        ::munmap(block, std::size_t{block->units} * page);
    } else if (is_owner()) {  // else lost, which is better than a list that two threads write
        std::size_t units = block->units;
        Block*& list = list_for(units);
        block->next = list;
        list = block;
    }
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
