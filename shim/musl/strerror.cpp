// musl's strerror has words of its own; what reads our errors knows glibc's. Linked ahead of libc, these two take the
// place of its own.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "shim/base/errno_words.hpp"

extern "C" {

// Under names of their own here, because the headers of the two libraries declare them differently.
char* error_words(int number) noexcept __asm__("strerror");
int posix_strerror_r(int number, char* text, std::size_t size) noexcept __asm__("strerror_r");

char* error_words(int number) noexcept {
    static char unknown[32];
    if (number == 0) return const_cast<char*>("Success");
    const char* words = locald::shim::errno_words(number);
    if (words != nullptr) return const_cast<char*>(words);
    std::snprintf(unknown, sizeof unknown, "Unknown error %d", number);
    return unknown;
}

int posix_strerror_r(int number, char* text, std::size_t size) noexcept {
    const char* words = error_words(number);
    const std::size_t length = std::strlen(words);
    if (length >= size) return ERANGE;
    std::memcpy(text, words, length + 1);
    return 0;
}
}
