#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "core/image/attributes.hpp"
#include "core/image/copy_file.hpp"
#include "core/image/json_worker.hpp"
#include "core/image/layer_path.hpp"
#include "core/image/merged_tree.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/// Copies what the layers show into one directory. Paths are opened anew from the root for each directory, so that a
/// deep tree costs no descriptors.
class Flattener {
public:
    Flattener(MergedTree& from, const posix::UniqueFd& to) : from_(from), to_(to), owners_(Owners::of_this_process()) {}

    Losses run() {
        const auto root = from_.find("");
        if (root) enter("", *root);
        std::vector<std::string> ahead{""};
        while (!ahead.empty()) {
            const std::string path = std::move(ahead.back());
            ahead.pop_back();
            const auto node = from_.find(path);
            if (!node) continue;
            const auto directory = open(path);
            for (const auto& name : from_.names(*node, path)) {
                const std::string child = join_path(path, name);
                const auto entry = from_.find(child);
                if (!entry) continue;
                if (!S_ISDIR(entry->st.st_mode)) {
                    copy(directory, name, child, *entry);
                    continue;
                }
                if (::mkdirat(directory.get(), name.c_str(), S_IRWXU) != 0) {
                    throw_errno(errno, "create directory ", child);
                }
                enter(child, *entry);
                ahead.push_back(child);
            }
        }
        for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
            set_attributes(open(entry->first).get(), entry->second, owners_, losses_, entry->first);
        }
        return losses_;
    }

private:
    posix::UniqueFd open(const std::string& path) const {
        return posix::openat2(to_, path.empty() ? "." : path, static_cast<std::uint64_t>(directory_flags),
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    }

    void enter(const std::string& path, const MergedTree::Node& node) {
        const auto model = from_.open(node.layer, path, directory_flags);
        directories_[path] = attributes_of(model.get(), node.st, path);
    }

    void copy(const posix::UniqueFd& directory, const std::string& name, const std::string& path,
              const MergedTree::Node& node) {
        const auto& st = node.st;
        if (st.st_nlink > 1) {
            const auto [first, is_first] = linked_.emplace(std::pair(node.layer, st.st_ino), path);
            if (!is_first) {
                link(first->second, directory, name, path);
                return;
            }
        }
        Attributes attributes;
        attributes.uid = st.st_uid;
        attributes.gid = st.st_gid;
        attributes.mode = st.st_mode & 07777U;
        attributes.mtime = st.st_mtim;
        attributes.keep_mtime = true;
        if (S_ISREG(st.st_mode)) {
            const auto from = from_.open(node.layer, path, O_RDONLY);
            const auto to = posix::openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, S_IRUSR | S_IWUSR);
            copy_content(from, to, st, path);
            set_attributes(to.get(), attributes_of(from.get(), st, path), owners_, losses_, path);
            return;
        }
        int result = 0;
        if (S_ISLNK(st.st_mode)) {
            result = ::symlinkat(from_.read_link(node, path).c_str(), directory.get(), name.c_str());
        } else {
            result = ::mknodat(directory.get(), name.c_str(), (st.st_mode & S_IFMT) | S_IRUSR, st.st_rdev);
            if (result != 0 && errno == EPERM) {
                ++losses_.devices;
                return;
            }
        }
        if (result != 0) throw_errno(errno, "create ", path);
        set_attributes_at(directory.get(), name, S_ISLNK(st.st_mode), attributes, owners_, path);
    }

    void link(const std::string& first, const posix::UniqueFd& directory, const std::string& name,
              const std::string& path) const {
        const auto slash = first.find_last_of('/');
        const auto parent = open(slash == std::string::npos ? std::string() : first.substr(0, slash));
        const std::string target = slash == std::string::npos ? first : first.substr(slash + 1);
        if (::linkat(parent.get(), target.c_str(), directory.get(), name.c_str(), 0) != 0) {
            throw_errno(errno, "link ", path, " to ", first);
        }
    }

    MergedTree& from_;
    const posix::UniqueFd& to_;
    Owners owners_;
    Losses losses_;
    std::map<std::string, Attributes> directories_;
    std::map<std::pair<std::size_t, ino_t>, std::string> linked_;
};

}  // namespace

void worker_flatten(const nlohmann::json& plan, WorkerReport& report) {
    std::vector<posix::UniqueFd> layers;
    for (const auto& layer : plan.at("layers")) {
        layers.push_back(posix::open(layer.get<std::string>(), O_RDONLY | O_DIRECTORY));
    }
    const auto destination = posix::open(plan.at("destination").get<std::string>(), O_RDONLY | O_DIRECTORY);
    enter_worker_rights(plan);
    std::vector<const posix::UniqueFd*> views;
    views.reserve(layers.size());
    for (const auto& layer : layers) views.push_back(&layer);
    MergedTree merged(std::move(views));
    const Losses losses = Flattener(merged, destination).run();
    for (const auto& sentence : losses.sentences()) report.send({{"event", "warning"}, {"message", sentence}});
}

}  // namespace locald::image
