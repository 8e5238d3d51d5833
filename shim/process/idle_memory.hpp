#pragma once

namespace locald::shim {

/// Gives the kernel back what it can read again from our own file, code and constants: a shim that only waits for its
/// container needs almost none of it. What is needed after all comes back by a page fault.
void drop_clean_pages() noexcept;

}  // namespace locald::shim
