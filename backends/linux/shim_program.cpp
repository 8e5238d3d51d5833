#include "backends/linux/shim_program.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

/// The shim's own line of error, as an Error of ours.
[[noreturn]] void throw_answer(const host::Captured& answer, const std::string& what) {
    std::string_view line = trim(answer.err);
    constexpr std::string_view prefix = "locald-shim: ";
    if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
    const auto kind = line.find("does not exist") != std::string_view::npos ? ErrorKind::not_found : ErrorKind::system;
    throw Error(kind, line.empty() ? what + " failed without a word" : std::string(line));
}

}  // namespace

std::string file_identity(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) throw_errno(errno, "stat ", path);
    return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) + ":" + std::to_string(st.st_size) + ":" +
           std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec) + " " + path + "\n";
}

std::string read_cache(const std::string& path) {
    try {
        return posix::read_file(path, 16384);
    } catch (const Error&) {
        return {};  // no cache is no error: the question is asked again
    }
}

void write_cache(const std::string& path, const std::string& text) {
    try {
        posix::replace_file_unsynced(path, text, 0600);
    } catch (const Error&) {  // a read-only store only costs the question again
    }
}

std::string find_program(const std::string& name, const std::string& given) {
    std::vector<std::string> places;
    if (!given.empty()) {
        places.push_back(given);
    } else {
        const std::string own = host::own_executable();
        places.push_back(own.substr(0, own.rfind('/') + 1) + name);
        places.push_back(std::string(LOCALD_INSTALL_BINDIR) + "/" + name);
    }
    std::string looked_at;
    for (const auto& place : places) {
        if (::access(place.c_str(), X_OK) == 0) return place;
        looked_at += (looked_at.empty() ? "" : ", ") + place + " (" + errno_text(errno) + ")";
    }
    throw Error(ErrorKind::not_found, "find the program " + name + ": " + looked_at)
        .with_remedy("install it beside this program, or build it: cmake --build --preset release");
}

void Shim::ask_version() const {
    host::ChildOptions options;
    options.argv = {program_, "--shim-version"};
    const auto answer = host::run_and_capture(options);
    const std::string_view theirs = trim(answer.out);
    if (!answer.status.ok() || theirs != version) {
        throw Error(ErrorKind::unsupported,
                    "version of " + program_ + ": found " + json_quote(theirs) + ", need " + json_quote(version))
            .with_remedy(program_.find("/libexec/locald/") != std::string::npos
                             ? "sudo locald admin setup"
                             : "install locald and locald-shim from the same build");
    }
}

void Shim::check_version(const std::string& cache_file) const {
    const std::string known = file_identity(program_) + std::string(version) + "\n";
    if (read_cache(cache_file) == known) return;
    ask_version();
    write_cache(cache_file, known);
}

posix::UniqueFd Shim::make_user_namespace(bool keep_id) const {
    constexpr int number = 3;
    auto pair = posix::make_socket_pair();
    auto options = command({"userns", "--socket-fd", std::to_string(number)});
    if (keep_id) options.argv.emplace_back("--keep-id");
    options.handles.push_back({pair.second.get(), number});
    const auto answer = host::run_and_capture(options);
    pair.second.reset();
    if (!answer.status.ok()) throw_answer(answer, program_ + " userns");
    return posix::receive_fd(pair.first);
}

host::ChildOptions Shim::command(const std::vector<std::string>& words) const {
    host::ChildOptions options;
    options.argv = {program_, "--root", root_};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.new_process_group = true;
    return options;
}

host::Captured Shim::try_run(const std::vector<std::string>& words) const {
    return host::run_and_capture(command(words));
}

std::string Shim::run(const std::vector<std::string>& words) const {
    auto answer = try_run(words);
    if (answer.status.ok()) return std::move(answer.out);
    throw_answer(answer, program_ + " " + words.front());
}

}  // namespace locald::backends
