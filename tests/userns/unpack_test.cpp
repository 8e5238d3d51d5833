#include "core/image/unpack.hpp"

#include <gmock/gmock.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "core/image/transfer.hpp"
#include "core/posix/fs.hpp"
#include "tests/support/image_builder.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::image {
namespace {

using ::testing::HasSubstr;
using testing::LayoutBuilder;
using testing::TarBuilder;
using testing::TempDir;
namespace fs = std::filesystem;

/// An ordinary user with grants of sub-ids, made for one test and removed after it.
class OrdinaryUser {
public:
    OrdinaryUser() {
        if (::geteuid() != 0) return;
        name_ = "lcimg" + std::to_string(::getpid());
        run({"/usr/sbin/useradd", "-M", "-s", "/bin/sh", name_});
        if (const passwd* entry = ::getpwnam(name_.c_str())) {
            uid_ = entry->pw_uid;
            gid_ = entry->pw_gid;
        }
    }
    ~OrdinaryUser() {
        if (!name_.empty()) run({"/usr/sbin/userdel", name_});
    }
    OrdinaryUser(const OrdinaryUser&) = delete;
    OrdinaryUser& operator=(const OrdinaryUser&) = delete;

    bool there() const { return uid_ != 0; }
    uid_t uid() const { return uid_; }

    /// Runs `body` in a child process as this user and gives what it threw or returned; empty when all went well.
    std::string as(const std::function<std::string()>& body) const {
        int ends[2];
        if (::pipe(ends) != 0) return "pipe failed";
        const pid_t child = ::fork();
        if (child == 0) {
            std::string text;
            // Dumpable again, as a program that the user starts is: else its files in /proc belong to root.
            if (::initgroups(name_.c_str(), gid_) != 0 || ::setresgid(gid_, gid_, gid_) != 0 ||
                ::setresuid(uid_, uid_, uid_) != 0 || ::prctl(PR_SET_DUMPABLE, 1) != 0) {
                text = "cannot become the user";
            } else {
                try {
                    text = body();
                } catch (const std::exception& e) {
                    text = std::string("threw ") + e.what();
                }
            }
            const auto ignored = ::write(ends[1], text.data(), text.size());
            static_cast<void>(ignored);
            ::_exit(0);
        }
        ::close(ends[1]);
        const posix::UniqueFd from(ends[0]);
        std::string text = posix::read_all(from, "the child");
        int status = 0;
        ::waitpid(child, &status, 0);
        if (!WIFEXITED(status)) text += " killed by a signal";
        return text;
    }

private:
    static void run(const std::vector<std::string>& argv) {
        host::ChildOptions options;
        options.argv = argv;
        host::run_and_capture(options);
    }
    std::string name_;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
};

class UnpackAsUser : public ::testing::Test {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(user_.there(), "root, to make an ordinary user");
        ASSERT_EQ(::chown(dir_.path().c_str(), user_.uid(), user_.uid()), 0);
        TarBuilder::Entry service{"home/service", '5'};
        service.uid = 1000;
        service.gid = 1001;
        service.mode = 0700;
        TarBuilder::Entry secret{"home/service/secret"};
        secret.uid = 1000;
        secret.gid = 1001;
        secret.mode = 0600;
        secret.content = "text";
        TarBuilder::Entry device{"dev-null", '3'};
        device.major = 1;
        device.minor = 3;
        TarBuilder base;
        base.directory("home").add(service).add(secret).add(device).file("su", "x", 04755).file("gone", "");
        LayoutBuilder(dir_ / "layout")
            .layer(base.bytes())
            .layer(TarBuilder().file(".wh.gone", "").hard_link("home/service/link", "home/service/secret").bytes())
            .finish();
    }

    UnpackContext context(bool full = true) const {
        UnpackContext context;
        context.worker.argv = {LOCALD_STORAGE_WORKER};
        context.maps = posix::caller_id_maps();
        if (!full) {
            context.maps->uids = {{0, user_.uid(), 1}};
            context.maps->gids = {{0, static_cast<std::uint32_t>(::getgid()), 1}};
            context.maps->full = false;
        }
        return context;
    }
    ImageRecord import(Store& store) const {
        return import_image(store, oci::parse_image_name("oci:" + dir_ / "layout"), oci::parse_platform("linux/amd64"),
                            false, {}, {});
    }
    static struct stat stat_of(const std::string& path) {
        struct stat st {};
        if (::lstat(path.c_str(), &st) != 0) st.st_uid = ~0U;
        return st;
    }

    OrdinaryUser user_;
    TempDir dir_;
};

TEST_F(UnpackAsUser, GivesFilesTheirOwnersFromTheGrantedRange) {
    const auto said = user_.as([&]() -> std::string {
        Store store(dir_ / "store");
        auto work = context();
        if (!work.maps->full) return "no full map: " + work.maps->why_not_full;
        const auto image = import(store);
        const auto unpacked = ensure_unpacked(store, image, work, {}, {});
        if (unpacked.layers.size() != 2) return "layers";
        if (unpacked.warnings.size() != 1) return "warnings " + std::to_string(unpacked.warnings.size());
        if (!find_unpacked(store, image, work.maps)) return "not found again";
        return unpacked.warnings.front();
    });
    ASSERT_THAT(said, HasSubstr("1 device node was left out"));
    const std::string map = fs::directory_iterator(dir_ / "store/layers")->path();
    std::string base;
    std::string top;
    for (const auto& layer : fs::directory_iterator(map)) {
        (fs::exists(layer.path() / "diff/su") ? base : top) = (layer.path() / "diff").string();
    }
    const uid_t first_sub = stat_of(base + "/home/service").st_uid - 999;
    EXPECT_GT(first_sub, 65535U);
    EXPECT_EQ(stat_of(base + "/home/service/secret").st_uid, first_sub + 999);
    EXPECT_EQ(stat_of(base + "/home/service/secret").st_mode & 07777U, 0600U);
    EXPECT_EQ(stat_of(base + "/su").st_uid, user_.uid());
    EXPECT_EQ(stat_of(base + "/su").st_mode & 07777U, 04755U);
    EXPECT_FALSE(fs::exists(base + "/dev-null"));
    EXPECT_TRUE(S_ISCHR(stat_of(top + "/gone").st_mode));
    EXPECT_EQ(stat_of(top + "/home/service/link").st_uid, first_sub + 999);  // copied up with its owner
    EXPECT_EQ(stat_of(top + "/home/service").st_mode & 07777U, 0700U);
    // CVE-2021-41091 and others: nobody else reaches the set-id file.
    EXPECT_EQ(stat_of(dir_ / "store").st_mode & 07777U, 0700U);
}

TEST_F(UnpackAsUser, CopiesLayersIntoOneTreeAndRemovesItAgain) {
    const std::string rootfs = dir_ / "rootfs";
    const auto made = user_.as([&]() -> std::string {
        Store store(dir_ / "store");
        auto work = context();
        flatten(ensure_unpacked(store, import(store), work, {}, {}), rootfs, work, {});
        return "";
    });
    ASSERT_EQ(made, "");
    EXPECT_FALSE(fs::exists(rootfs + "/gone"));
    EXPECT_EQ(posix::read_file(rootfs + "/home/service/link"), "text");
    EXPECT_EQ(stat_of(rootfs + "/home/service/secret").st_uid, stat_of(rootfs + "/home/service").st_uid);
    EXPECT_NE(stat_of(rootfs + "/home/service").st_uid, user_.uid());
    const auto removed = user_.as([&]() -> std::string {
        Store store(dir_ / "store");
        auto work = context();
        remove_mapped_tree(rootfs, work);
        const auto image = store.list().at(0);
        store.untag(image.name);
        return std::to_string(store.collect_garbage(false, &work).layers);
    });
    EXPECT_EQ(removed, "2");
    EXPECT_FALSE(fs::exists(rootfs));
    for (const auto& map : fs::directory_iterator(dir_ / "store/layers")) EXPECT_TRUE(fs::is_empty(map));
}

TEST_F(UnpackAsUser, SaysHowManyLostTheirOwnerUnderASingleId) {
    const auto said = user_.as([&]() -> std::string {
        Store store(dir_ / "store");
        auto work = context(false);
        const auto unpacked = ensure_unpacked(store, import(store), work, {}, {});
        std::string text;
        for (const auto& warning : unpacked.warnings) text += warning + "\n";
        return text;
    });
    EXPECT_THAT(said, HasSubstr("2 entries lost their owner to root"));
    const std::string map = fs::directory_iterator(dir_ / "store/layers")->path();
    for (const auto& entry : fs::recursive_directory_iterator(map)) {
        EXPECT_EQ(stat_of(entry.path()).st_uid, user_.uid()) << entry.path();
    }
}

TEST_F(UnpackAsUser, LeavesNothingOfALayerThatIsNotItsDiffId) {
    LayoutBuilder(dir_ / "bad").layer(TarBuilder().file("f", "x").bytes(), sha256_of("something else")).finish();
    const auto said = user_.as([&]() -> std::string {
        Store store(dir_ / "store");
        auto work = context();
        const auto image = import_image(store, oci::parse_image_name("oci:" + dir_ / "bad"),
                                        oci::parse_platform("linux/amd64"), false, {}, {});
        ensure_unpacked(store, image, work, {}, {});
        return "no failure";
    });
    EXPECT_THAT(said, HasSubstr("does not unpack to what the image promises"));
    for (const auto& map : fs::directory_iterator(dir_ / "store/layers")) EXPECT_TRUE(fs::is_empty(map));
}

}  // namespace
}  // namespace locald::image
