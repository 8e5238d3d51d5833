#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

// The image's passwd file and programs are not ours to trust: bounded, never a device or a fifo, never through a link.
constexpr std::size_t most_passwd = std::size_t{1} << 20U;

std::string read_some(const char* path, std::size_t most, int extra_flags) {
    const posix::UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | extra_flags));
    struct stat st {};
    if (!file || ::fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
    // No more than there is: the program's own limits of memory hold already.
    most = std::min<std::size_t>(most, static_cast<std::size_t>(std::max<off_t>(st.st_size, 0)));
    std::string text(most, '\0');
    std::size_t have = 0;
    while (have < most) {
        const ssize_t n = ::read(file.get(), text.data() + have, most - have);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        have += static_cast<std::size_t>(n);
    }
    text.resize(have);
    return text;
}

/// The value of the last NAME=… in `env`, as the one that counts when there are several.
std::optional<std::string_view> value_of(const std::vector<std::string>& env, std::string_view name) {
    for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
        const std::string_view text = *entry;
        if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=') {
            return text.substr(name.size() + 1);
        }
    }
    return std::nullopt;
}

bool is_program(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) &&
           ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

[[noreturn]] void throw_not_found(const std::string& name) {
    throw Error(ErrorKind::command_not_found, "exec: " + json_quote(name) + ": executable file not found in $PATH",
                ENOENT)
        .with_remedy("check the spelling, or give the path inside the image");
}

template <class T>
bool take(const std::string& bytes, std::size_t offset, T& out) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof out) return false;
    std::memcpy(&out, bytes.data() + offset, sizeof out);
    return true;
}

/// PT_INTERP of a 64 bit ELF file of this byte order; empty when it has none or is another kind of file.
std::string elf_interpreter(const std::string& bytes) {
    Elf64_Ehdr header{};
    if (!take(bytes, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
        return {};
    }
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment{};
        if (!take(bytes, header.e_phoff + i * sizeof segment, segment)) return {};
        if (segment.p_type != PT_INTERP) continue;
        if (segment.p_offset > bytes.size() || bytes.size() - segment.p_offset < segment.p_filesz) return {};
        return bytes.substr(segment.p_offset, segment.p_filesz).c_str();
    }
    return {};
}

/// The program that the kernel would start for the file `path`: of a `#!` line or of ELF; empty when there is none.
std::string interpreter_of(const std::string& path) {
    constexpr std::size_t enough = 65536;
    const std::string bytes = read_some(path.c_str(), enough, 0);
    if (!bytes.starts_with("#!")) return elf_interpreter(bytes);
    const auto line = trim(std::string_view(bytes).substr(2, bytes.find('\n') - 2));
    return std::string(line.substr(0, line.find_first_of(" \t")));
}

/// As Go's programs write it: docker looks for "no such file or directory" and "permission denied" in small letters.
std::string small_errno_text(int err) {
    std::string text = errno_text(err);
    if (!text.empty() && text.front() >= 'A' && text.front() <= 'Z')
        text.front() = static_cast<char>(text.front() + ('a' - 'A'));
    return text;
}

Error exec_error(int err, const std::string& name, const std::string& path) {
    const std::string what = "exec: " + json_quote(name) + ": ";
    struct stat st {};
    const bool there = ::stat(path.c_str(), &st) == 0;
    if (err == ENOENT && there) {
        const std::string interpreter = interpreter_of(path);
        return Error(ErrorKind::command_not_found,
                     what + "its interpreter " + (interpreter.empty() ? "" : json_quote(interpreter) + " ") +
                         "is missing: " + small_errno_text(err),
                     err)
            .with_remedy("the file exists; install its interpreter or dynamic loader into the image");
    }
    if (err == ENOENT || err == ENOTDIR) {
        return Error(ErrorKind::command_not_found, what + "stat " + path + ": " + small_errno_text(err), err)
            .with_remedy("check the path; it is looked up inside the container");
    }
    Error error(ErrorKind::not_executable, what + small_errno_text(err), err);
    if (err == ENOEXEC) {
        error.with_remedy("it is built for another architecture, or a script without a #! line");
    } else if (err == EACCES && there && S_ISDIR(st.st_mode)) {
        error.with_remedy("it is a directory; name a program");
    } else if (err == EACCES) {
        error.with_remedy("give it the execute bit for the container's user, or mount it without noexec");
    }
    return error;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

std::string home_in_passwd(std::string_view passwd, std::uint32_t uid) {
    constexpr std::size_t uid_field = 2, home_field = 5;
    for (const auto line : split(passwd, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() <= home_field || parse_u64(fields[uid_field]) != uid) continue;
        if (!fields[home_field].empty()) return std::string(fields[home_field]);
    }
    return "/";
}

std::string find_program(const std::string& name, const std::vector<std::string>& env) {
    if (name.empty()) throw_not_found(name);
    if (name.find('/') != std::string::npos) return name;
    for (const auto dir : split(value_of(env, "PATH").value_or(""), ':')) {
        // Empty and relative entries mean the working directory: nothing there is executed unasked.
        if (!dir.starts_with('/')) continue;
        std::string path = std::string(dir) + "/" + name;
        if (is_program(path)) return path;
    }
    throw_not_found(name);
}

void require_program(const oci::Process& process) {
    if (process.args.empty()) return;
    const std::string& name = process.args.front();
    std::string path = find_program(name, process.env);
    if (!path.starts_with('/')) path = process.cwd + "/" + path;
    struct stat st {};
    // Other failures are left to the program's own user, who may see what we cannot.
    if (::stat(path.c_str(), &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) throw exec_error(errno, name, path);
    } else if (S_ISDIR(st.st_mode) || (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
        throw exec_error(EACCES, name, path);
    }
}

std::vector<std::string> complete_environment(const oci::Process& process) {
    std::vector<std::string> env;
    env.reserve(process.env.size() + 1);
    // Of several values the last counts; programs differ in which one they would take. So from the end, names once.
    std::unordered_set<std::string_view> names;
    for (auto entry = process.env.rbegin(); entry != process.env.rend(); ++entry) {
        const auto equals = entry->find('=');
        if (equals != std::string::npos && !names.insert(std::string_view(*entry).substr(0, equals)).second) continue;
        env.push_back(*entry);
    }
    std::reverse(env.begin(), env.end());
    if (!value_of(env, "HOME")) {
        env.push_back("HOME=" + home_in_passwd(read_some("/etc/passwd", most_passwd, O_NOFOLLOW), process.user.uid));
    }
    return env;
}

Execution prepare_execution(const oci::Process& process) {
    if (process.args.empty()) throw Error(ErrorKind::invalid, "process.args: args must not be empty");
    Execution execution;
    execution.args = process.args;
    execution.env = complete_environment(process);
    execution.path = find_program(process.args.front(), execution.env);
    execution.argv = pointers_to(execution.args);
    execution.envp = pointers_to(execution.env);
    return execution;
}

void execute(const Execution& execution) {
    ::execve(execution.path.c_str(), execution.argv.data(), execution.envp.data());
    throw exec_error(errno, execution.args.front(), execution.path);
}

}  // namespace locald::shim
