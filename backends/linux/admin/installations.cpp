#include "backends/linux/admin/installations.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/linux/admin/root_files.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends::admin {

namespace {

std::vector<std::string> known() {
    std::vector<std::string> found;
    try {
        const std::string text = read_root_file(installations_file).value_or("");
        for (const auto line : split(text, '\n')) {
            if (line.starts_with('/')) found.emplace_back(line);
        }
    } catch (const Error&) {  // an ordinary user who may not look, or something of somebody else's in its place
        return {};
    }
    return found;
}

void write_known(const std::vector<std::string>& places) {
    const std::string dir = parent_of(installations_file);
    if (places.empty()) {
        remove_root_file(installations_file);
        ::rmdir(dir.c_str());  // stays where shim.conf is in it
        return;
    }
    std::string text;
    for (const auto& place : places) text.append(place).append("\n");
    open_root_directory(dir, true);
    write_root_file(installations_file, text);
}

}  // namespace

void remember_installation(const Work& work) {
    auto places = known();
    if (std::find(places.begin(), places.end(), work.base()) != places.end()) return;
    places.push_back(work.base());
    try {
        write_known(places);
    } catch (const Error& e) {  // an /etc that nobody writes, or that others may: no reason to install nothing
        work.note("shim.others",
                  "this installation is not written down, so that `remove` of another may take away what "
                  "both share: " +
                      e.message());
    }
}

void forget_installation(const Work& work) {
    auto places = known();
    if (std::erase(places, work.base()) != 0) write_known(places);
}

std::vector<std::string> other_installations(const Work& work) {
    auto places = known();
    const std::string usual = runtime::SetupOptions().prefix + "/libexec/locald";
    if (std::find(places.begin(), places.end(), usual) == places.end()) places.push_back(usual);
    std::erase_if(places, [&](const std::string& place) {
        struct stat st {};
        return place == work.base() || ::lstat((place + "/locald-shim").c_str(), &st) != 0 || !S_ISREG(st.st_mode) ||
               (st.st_mode & S_ISUID) == 0 || st.st_uid != 0;
    });
    return places;
}

}  // namespace locald::backends::admin
