#include "backends/linux/detached/records.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "backends/linux/container_dir.hpp"
#include "backends/protocol/detached_values.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

using protocol::Json;

// What is being made and what is being removed.
constexpr std::string_view making = ".new-";
constexpr std::string_view removing = ".gone-";
// As much as the end of a container takes, kept free for it.
constexpr std::size_t end_size = 4096;
constexpr std::time_t draft_seconds = 60;
constexpr std::size_t longest_record = 4U << 20U;

std::optional<Json> find_json(const std::string& path) {
    try {
        return protocol::parse(posix::read_file(path, longest_record));
    } catch (Error& e) {
        if (e.kind() == ErrorKind::not_found) return std::nullopt;
        e.add_context("read " + path);
        throw;
    }
}

bool is_locked(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0) return false;
    try {
        return !host::FileLock::try_acquire(path, host::FileLock::Mode::shared).has_value();
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::not_found) return false;  // removed meanwhile
        throw;
    }
}

}  // namespace

void OwnRecord::write(const Record& record) const {
    const Json json{{"container", protocol::write_container(record.info)},
                    {"stateDirectory", record.state_directory},
                    {"socket", record.socket}};
    posix::replace_file_unsynced(path_ + "/record.json", protocol::dump(json), 0600);
}

void OwnRecord::write_end(const EndRecord& end) const {
    Json json{{"status", protocol::write_exit(end.status)},
              {"ended", end.ended},
              {"output", end.output},
              {"error", end.error ? protocol::write_error(*end.error) : Json()}};
    std::string text = protocol::dump(json);
    if (text.size() < end_size) text.resize(end_size, ' ');
    const std::string draft = path_ + "/exit.new";
    {
        const auto file = posix::open(draft, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        posix::write_all(file, text, draft);
    }
    if (::rename(draft.c_str(), (path_ + "/exit.json").c_str()) != 0) throw_errno(errno, "rename ", draft);
}

Records::Records(const std::string& data_directory) : directory_(data_directory + "/detached") {
    posix::make_directories(directory_, 0700);
}

std::string Records::path_of(const std::string& id) const {
    check_container_id(id);
    return directory_ + "/" + id;
}

std::vector<std::string> Records::ids() const {
    auto names = posix::names_in(directory_);
    std::erase_if(names, [](const std::string& name) { return !is_container_id(name); });
    return names;
}

std::optional<Record> Records::find(const std::string& id) const {
    const auto json = find_json(path_of(id) + "/record.json");
    if (!json) return std::nullopt;
    try {
        Record record;
        record.info = protocol::read_container(json->at("container"));
        record.state_directory = json->at("stateDirectory").get<std::string>();
        record.socket = json->at("socket").get<std::string>();
        return record;
    } catch (const Json::exception& e) {
        throw Error(ErrorKind::corrupt, "read the record of container " + id + ": " + e.what())
            .with_remedy("remove it: locald container rm " + id);
    }
}

std::optional<EndRecord> Records::find_end(const std::string& id) const {
    const auto json = find_json(path_of(id) + "/exit.json");
    if (!json) return std::nullopt;
    try {
        EndRecord end;
        end.status = protocol::read_exit(json->at("status"));
        end.ended = json->at("ended").get<std::string>();
        end.output = json->at("output").get<std::uint64_t>();
        if (const auto& error = json->at("error"); !error.is_null()) end.error = protocol::read_error(error);
        return end;
    } catch (const Json::exception& e) {
        throw Error(ErrorKind::corrupt, "read the end of container " + id + ": " + e.what())
            .with_remedy("remove it: locald container rm " + id);
    }
}

std::optional<Record> Records::look(const std::string& id) const {
    // In this order: whoever gives the lock up has written the end before.
    const bool kept = is_kept(id);
    auto record = find(id);
    if (!record) return std::nullopt;
    const auto end = find_end(id);
    auto& info = record->info;
    using Status = runtime::ContainerInfo::Status;
    if (end) {
        info.status = end->error ? Status::lost : Status::exited;
        info.exit = end->status;
        info.ended = end->ended;
    } else if (!kept) {
        info.status = Status::lost;
    }
    if (info.status != Status::running) info.pid = 0;
    return record;
}

bool Records::is_kept(const std::string& id) const { return is_locked(path_of(id) + "/lock"); }

void Records::check_free(const std::string& id) const {
    if (::access(path_of(id).c_str(), F_OK) != 0) return;
    throw Error(ErrorKind::exists, "the name \"" + id + "\" is in use by a detached container")
        .with_remedy("choose another --name, or remove that one: locald container rm " + id);
}

OwnRecord Records::create(const std::string& id, const Record& record) const {
    sweep();
    const std::string path = path_of(id);
    // By rename, so that nobody sees it without its lock.
    const std::string draft = directory_ + "/" + std::string(making) + make_container_id();
    posix::make_directories(draft, 0700);
    try {
        auto lock = host::FileLock::acquire(draft + "/lock");
        {
            OwnRecord made(draft, std::move(lock));
            made.write(record);
            posix::replace_file_unsynced(draft + "/exit.new", std::string(end_size, ' '), 0600);
            if (::rename(draft.c_str(), path.c_str()) != 0) {
                const int err = errno;
                if (err == EEXIST || err == ENOTEMPTY) check_free(id);
                throw_errno(err, "make the record of container ", id);
            }
            return std::move(made).moved_to(path);
        }
    } catch (...) {
        posix::remove_tree(draft);
        throw;
    }
}

void Records::remove(const std::string& id) const {
    const std::string path = path_of(id);
    const std::string grave = directory_ + "/" + std::string(removing) + make_container_id();
    if (::rename(path.c_str(), grave.c_str()) != 0) {
        if (errno == ENOENT) return;  // by somebody else
        throw_errno(errno, "remove the record of container ", id);
    }
    posix::remove_tree(grave);
}

/// What a killed process was making or removing.
void Records::sweep() const {
    for (const auto& name : posix::names_in(directory_)) {
        const std::string path = directory_ + "/" + name;
        const bool unfinished = name.starts_with(making);
        if (!unfinished && !name.starts_with(removing)) continue;
        // A young one may not have its lock yet.
        struct stat st {};
        if (unfinished && (::stat(path.c_str(), &st) != 0 || ::time(nullptr) - st.st_mtime < draft_seconds)) continue;
        if (unfinished && is_locked(path + "/lock")) continue;
        try {
            posix::remove_tree(path);
        } catch (const Error& e) {
            log(LogLevel::debug, e.what());
        }
    }
}

}  // namespace locald::backends
