#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// The rules that hold for a container whose config has `rules`: nothing allowed at first, then these in their order,
/// then what every container needs (mknod of anything, null, zero, full, random, urandom, tty, pts, ptmx, tun).
/// Empty when `rules` is empty, or when they allow everything: then nothing is restricted.
/// @throws Error(invalid) for a type or access letter that does not exist
std::vector<oci::DeviceRule> effective_device_rules(const std::vector<oci::DeviceRule>& rules);

/// The writes that make a fresh v1 devices cgroup obey: file (devices.allow, devices.deny) and line.
std::vector<std::pair<std::string, std::string>> v1_device_lines(const std::vector<oci::DeviceRule>& effective);

/// The writes that take a v1 devices cgroup from `list`, the text of its devices.list, to the rules: what is new is
/// allowed before what is too much is denied, so that nothing allowed by both is ever refused.
/// @throws Error(unsupported) when the cgroup restricts nothing yet: that can be changed only while it is empty
std::vector<std::pair<std::string, std::string>> v1_device_changes(const std::string& list,
                                                                   const std::vector<oci::DeviceRule>& effective);

/// The same as a program for BPF_PROG_TYPE_CGROUP_DEVICE, one struct bpf_insn each: the last rule that says something
/// about a bit of the access decides on that bit, and all bits must be allowed. As few branches as possible: a third of
/// what the kernel took for a container's cgroup was to prove one branch a rule and number harmless.
std::vector<std::uint64_t> device_program(std::vector<oci::DeviceRule> effective);

/// True when this kernel filters devices by programs in the v2 hierarchy of `cgroup`, and this process may load one.
bool can_filter_devices(const posix::UniqueFd& cgroup);

/// Loads the program and attaches it to the v2 directory; it stays until the directory goes.
/// @returns 0, or the errno of the kernel
int attach_device_program(const posix::UniqueFd& cgroup, const std::vector<std::uint64_t>& program);

enum class Replaced { yes, same, not_ours };
/// Puts `program` in the place of the one that attach_device_program() attached, in one step: at no moment both or none
/// of them decide. The same program again changes nothing. When ours is not there any more, somebody (a GPU's hook) has
/// put his own in its place, and that one stays.
/// @param error  0, or the errno of the kernel
Replaced replace_device_program(const posix::UniqueFd& cgroup, const std::vector<std::uint64_t>& program, int& error);

}  // namespace locald::shim
