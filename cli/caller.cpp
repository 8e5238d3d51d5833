#include "cli/caller.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "core/base/error.hpp"

namespace locald::cli {

namespace {

struct CloseFile {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

std::string read_file(const std::string& path) {
    constexpr std::size_t most = 16U << 20U;
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
    if (!file) throw_errno(errno, "read ", path);
    std::string text;
    std::string block(65536, '\0');
    while (const std::size_t got = std::fread(block.data(), 1, block.size(), file.get())) {
        text.append(block, 0, got);
        if (text.size() > most) throw Error(ErrorKind::invalid, "read " + path + ": it is larger than 16 MiB");
    }
    if (std::ferror(file.get()) != 0) throw_errno(errno, "read ", path);
    return text;
}

}  // namespace

Caller this_process() {
    Caller caller;
    std::error_code error;
    caller.cwd = std::filesystem::current_path(error).string();
    if (error) throw_errno(error.value(), "find the working directory");
    caller.environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
    caller.read_file = read_file;
    return caller;
}

}  // namespace locald::cli
