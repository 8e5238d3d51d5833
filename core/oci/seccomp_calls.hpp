#pragma once

#include <span>
#include <string_view>

namespace locald::oci {

// Names are words of one text, with a blank between two: an array of them is a pointer each, which a program that may
// be loaded anywhere sets right at every start.

/// System calls that only holders of one of `capabilities` may make.
struct GatedCalls {
    std::string_view capabilities, names;
};

/// Calls without any danger to the host, of every architecture; libseccomp passes over those that one has not got.
std::string_view harmless_calls() noexcept;
std::span<const GatedCalls> gated_calls() noexcept;
/// Calls that nobody makes in a container, whatever his capabilities: old doors of the kernel, and keys and io_uring,
/// whose objects no namespace holds apart.
std::string_view refused_calls() noexcept;

}  // namespace locald::oci
