#pragma once

namespace locald::shim {

/// What people, engines and search machines know an errno by, the words of glibc: other C libraries have their own
/// (musl calls EBUSY "Resource busy"). Null for a number without a name.
const char* errno_words(int number) noexcept;

}  // namespace locald::shim
