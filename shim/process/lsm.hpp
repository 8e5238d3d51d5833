#pragma once

#include <string>
#include <string_view>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

// What AppArmor and SELinux are told: process.apparmorProfile, process.selinuxLabel, linux.mountLabel.

/// Refuses a profile or label whose security module is off: the container would run unconfined. The profile
/// `unconfined` asks for nothing and always passes.
void check_lsm(const oci::Spec& spec);

/// Appends linux.mountLabel as an option to every mount of a file system that takes one; the annotation
/// run.oci.mount_context_type says which: context (default), fscontext, defcontext, rootcontext.
void add_mount_label(oci::Spec& spec);

/// True when the process asks for a profile or a label.
bool wants_lsm(const oci::Process& process);

/// A procfs to write the attributes through, to be taken while /proc is still the runtime's: one that is mounted
/// nowhere, or where that is not allowed the host's own, verified.
posix::UniqueFd open_lsm_procfs();

/// Sets profile and label of the next execve of this thread.
void set_exec_label(const oci::Process& process, const posix::UniqueFd& procfs);

/// Keys made while it lives get the container's label; afterwards the kernel's choice again.
class KeyLabel {
public:
    KeyLabel(const oci::Process& process, const posix::UniqueFd& procfs);
    ~KeyLabel();
    KeyLabel(const KeyLabel&) = delete;
    KeyLabel& operator=(const KeyLabel&) = delete;

private:
    const posix::UniqueFd& procfs_;
    bool set_ = false;
};

}  // namespace locald::shim
