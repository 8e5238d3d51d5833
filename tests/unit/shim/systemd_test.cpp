#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#include "core/base/error.hpp"
#include "shim/cgroup/devices.hpp"
#include "shim/cgroup/systemd/gvariant.hpp"
#include "shim/cgroup/systemd/manager.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string words_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& e) {
        return e.what();
    }
    return "nothing was thrown";
}

TEST(DbusWire, KeepsAMessageThroughBothWays) {
    DbusMessage message;
    message.serial = 7;
    message.path = "/a/b";
    message.interface = "x.y";
    message.member = "Do";
    message.destination = "z";
    message.body = {
        DbusValue::string("héllo"),
        DbusValue::boolean(true),
        DbusValue::array("(sv)",
                         {DbusValue::tuple({DbusValue::string("n"), DbusValue::variant(DbusValue::u64(1ULL << 40U))})}),
        DbusValue::array("(sa(sv))", {}),
        DbusValue{"y", 3, {}, {}},
        DbusValue{"d", 5, {}, {}}};
    const DbusMessage back = decode(encode(message));
    EXPECT_EQ(back.serial, 7U);
    EXPECT_EQ(back.path, "/a/b");
    EXPECT_EQ(back.interface, "x.y");
    EXPECT_EQ(back.member, "Do");
    EXPECT_EQ(back.destination, "z");
    EXPECT_EQ(back.body, message.body);
}

TEST(DbusWire, WritesTheBytesOfTheSpecification) {
    DbusMessage message;
    message.serial = 1;
    message.path = "/";
    message.member = "M";
    message.body = {DbusValue::u32(5)};
    const std::string expected(
        "l\1\0\1\4\0\0\0\1\0\0\0\x27\0\0\0"
        "\1\1o\0\1\0\0\0/\0\0\0\0\0\0\0"
        "\3\1s\0\1\0\0\0M\0\0\0\0\0\0\0"
        "\x8\1g\0\1u\0\0"
        "\5\0\0\0",
        60);
    EXPECT_EQ(encode(message), expected);
}

TEST(DbusWire, RefusesWhatIsCutOffOrLies) {
    DbusMessage message;
    message.serial = 1;
    message.member = "M";
    message.body = {DbusValue::array("s", {DbusValue::string("abc")})};
    const std::string good = encode(message);
    for (std::size_t length = 0; length < good.size(); ++length) {
        EXPECT_THROW(decode(good.substr(0, length)), Error) << length;
    }
    std::string liar = good;
    liar[liar.size() - 12] = 100;  // the array's length
    EXPECT_THROW(decode(liar), Error);
    liar = good;
    liar[0] = 'B';
    EXPECT_THROW(decode(liar), Error);
}

TEST(DbusWire, KnowsWhereATypeEnds) {
    EXPECT_EQ(first_type_length("a{sv}u"), 5U);
    EXPECT_EQ(first_type_length("(a(ss)t)"), 8U);
    EXPECT_EQ(first_type_length("u"), 1U);
    for (const char* bad : {"", "a", "()", "(u", "z"}) EXPECT_EQ(first_type_length(bad), 0U) << bad;
}

TEST(DbusWire, KnowsADictionaryOnlyAsAnArrayOfPairs) {
    EXPECT_EQ(first_type_length("a{sv}"), 5U);
    EXPECT_EQ(first_type_length("a{o(sa{yv})}"), 12U);
    for (const char* bad : {"{sv}", "({sv})", "a{s}", "a{ssv}", "a{vs}", "a{(s)s}", "a{ass}", "a{}"}) {
        EXPECT_EQ(first_type_length(bad), 0U) << bad;
    }
}

TEST(DbusWire, TakesNoMessageThatIsLongForAManager) {
    DbusMessage message;
    message.body = {DbusValue::string(std::string(2U << 20U, 'x'))};
    EXPECT_THAT(words_of([&] { decode(encode(message)); }), HasSubstr("too long"));
}

TEST(Gvariant, RefusesADictionaryWithoutPairs) {
    for (const char* bad : {"@a{ssv} {}", "@a{asv} {}", "@a{s} {'a': 'b'}"}) {
        EXPECT_THAT(words_of([&] { parse_gvariant(bad); }), HasSubstr("expected a type")) << bad;
    }
}

TEST(Gvariant, ReadsEveryForm) {
    EXPECT_EQ(parse_gvariant("true"), DbusValue::boolean(true));
    EXPECT_EQ(parse_gvariant("uint64 18446744073709551615"), DbusValue::u64(~0ULL));
    EXPECT_EQ(parse_gvariant("-5"), (DbusValue{"i", static_cast<std::uint64_t>(-5), {}, {}}));
    EXPECT_EQ(parse_gvariant("@u 0x10"), DbusValue::u32(16));
    EXPECT_EQ(parse_gvariant("1.5"), (DbusValue{"d", std::bit_cast<std::uint64_t>(1.5), {}, {}}));
    EXPECT_EQ(parse_gvariant("'it\\'s'"), DbusValue::string("it's"));
    EXPECT_EQ(parse_gvariant(" [ \"a\" , 'b' ] "),
              DbusValue::array("s", {DbusValue::string("a"), DbusValue::string("b")}));
    EXPECT_EQ(parse_gvariant("@as []"), DbusValue::array("s", {}));
    EXPECT_EQ(parse_gvariant("('a', uint32 1)").signature, "(su)");
    EXPECT_EQ(parse_gvariant("{'k': <1>}").signature, "a{sv}");
    EXPECT_EQ(parse_gvariant("b'x'").items.size(), 2U);
    EXPECT_EQ(parse_gvariant("[@(sb) ('a', true)]").signature, "a(sb)");
}

TEST(Gvariant, SaysWhereItEndsToBeAValue) {
    for (const char* bad :
         {"", "[]", "'open", "[1, 'a']", "uint32 -1", "1 2", "nonsense", "@as [1]", "(1", "byte 256"}) {
        EXPECT_THAT(words_of([&] { parse_gvariant(bad); }), HasSubstr("is no value")) << bad;
    }
}

TEST(SystemdNames, FollowSlicePrefixName) {
    const auto of = [](const char* path, bool system = true) {
        const auto scope = parse_systemd_scope(path, "web", system);
        return scope.slice + " " + scope.unit + " " + scope.directory;
    };
    EXPECT_EQ(of("a-b.slice:crio:x"), "a-b.slice crio-x.scope a.slice/a-b.slice/crio-x.scope");
    EXPECT_EQ(of(""), "system.slice runc-web.scope system.slice/runc-web.scope");
    EXPECT_EQ(of("", false), "user.slice runc-web.scope user.slice/runc-web.scope");
    EXPECT_EQ(of("::x"), "system.slice x.scope system.slice/x.scope");
    EXPECT_EQ(of("-:p:x"), "-.slice p-x.scope p-x.scope");
    EXPECT_EQ(of("system.slice:p:k-x.slice"), "system.slice k-x.slice k.slice/k-x.slice");
    for (const char* bad : {"/docker/x", "a:b", "a.slice:b:c:d", "a/b.slice:c:d"}) {
        EXPECT_THAT(words_of([&] { of(bad); }), HasSubstr("expected cgroupsPath to be of format \"slice:prefix:name\" "
                                                          "for systemd cgroups, got \"" +
                                                          std::string(bad) + "\" instead"));
    }
    for (const char* bad : {"a:p:x", "a--b.slice:p:x", "...slice:p:x"}) {
        EXPECT_THAT(words_of([&] { of(bad); }), HasSubstr("is not the name of a slice"));
    }
}

TEST(SystemdProperties, SayTheLimitsThatAUnitCanExpress) {
    oci::Resources resources;
    resources.memory.emplace();
    resources.memory->limit = 1 << 20;
    resources.memory->swap = 3 << 20;
    resources.cpu.emplace();
    resources.cpu->shares = 1024;
    resources.cpu->quota = 12345;
    resources.cpu->period = 100000;
    resources.cpu->cpus = "0,9";
    resources.pids_limit = -1;
    resources.unified["memory.high"] = "4096";
    const UnitProperties expected{
        {"MemoryMax", DbusValue::u64(1 << 20)},
        {"MemorySwapMax", DbusValue::u64(2 << 20)},
        {"CPUWeight", DbusValue::u64(100)},
        {"CPUQuotaPeriodUSec", DbusValue::u64(100000)},
        {"CPUQuotaPerSecUSec", DbusValue::u64(130000)},
        {"AllowedCPUs", DbusValue::array("y", {{"y", 1, {}, {}}, {"y", 2, {}, {}}})},
        {"TasksMax", DbusValue::u64(~0ULL)},
        {"MemoryHigh", DbusValue::u64(4096)},
    };
    EXPECT_EQ(unit_properties(resources, CgroupLayout::v2), expected);
}

TEST(SystemdProperties, KeepALargeQuotaLarge) {
    oci::Resources resources;
    resources.cpu.emplace();
    resources.cpu->quota = std::numeric_limits<std::int64_t>::max();
    resources.cpu->period = 1000;
    const auto per_second = [&] { return unit_properties(resources, CgroupLayout::v2).back(); };
    EXPECT_EQ(per_second().second, DbusValue::u64(std::numeric_limits<std::uint64_t>::max()));
    resources.cpu->quota = 1LL << 50;
    EXPECT_GE(per_second().second.number, 1000ULL << 50U);
}

TEST(SystemdProperties, TakeOnlyWholeSecondsAsATime) {
    for (const char* bad : {"'2'", "2.5", "true", "@as []", "[1]", "<2>", "-1", "uint64 18446744073709551615"}) {
        EXPECT_THAT(words_of([&] {
                        annotation_properties({{"org.systemd.property.TimeoutStopSec", bad}});
                    }),
                    HasSubstr("expected whole seconds"))
            << bad;
    }
}

TEST(SystemdProperties, KeepTheDevicesThroughAReload) {
    const char* proc_devices = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  8 sd\n";
    const auto rules = effective_device_rules({{false, "a", {}, {}, "rwm"}, {true, "b", 8, {}, "r"}});
    const auto list = device_properties(rules, proc_devices);
    ASSERT_EQ(list.size(), 3U);
    EXPECT_EQ(list[0].second, DbusValue::string("strict"));
    EXPECT_THAT(list[1].second.items, IsEmpty());
    const auto entry = [](const char* pattern, const char* access) {
        return DbusValue::tuple({DbusValue::string(pattern), DbusValue::string(access)});
    };
    EXPECT_THAT(list[2].second.items, ::testing::Contains(entry("block-sd", "r")));
    EXPECT_THAT(list[2].second.items, ::testing::Contains(entry("char-pts", "rwm")));
    EXPECT_THAT(list[2].second.items, ::testing::Contains(entry("/dev/char/1:3", "rwm")));
    EXPECT_EQ(device_properties({}, "").front().second, DbusValue::string("auto"));
    const auto all_but_one = effective_device_rules({{true, "a", {}, {}, "rwm"}, {false, "c", 10, 229, "rwm"}});
    EXPECT_EQ(device_properties(all_but_one, "").front().second, DbusValue::string("auto"));
}

TEST(SystemdProperties, ComeFromAnnotations) {
    const auto list = annotation_properties({{"org.systemd.property.TimeoutStopSec", "2"},
                                             {"org.systemd.property.CollectMode", "'inactive'"},
                                             {"other", "x"}});
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0], (std::pair<std::string, DbusValue>("CollectMode", DbusValue::string("inactive"))));
    EXPECT_EQ(list[1], (std::pair<std::string, DbusValue>("TimeoutStopUSec", DbusValue::u64(2000000))));
    EXPECT_THAT(words_of([] {
                    annotation_properties({{"org.systemd.property.A_B", "1"}});
                }),
                HasSubstr("org.systemd.property.A_B"));
    EXPECT_THAT(words_of([] {
                    annotation_properties({{"org.systemd.property.Foo", "["}});
                }),
                HasSubstr("org.systemd.property.Foo"));
}

/// Somebody who answers as systemd would.
class FakeManager {
public:
    using Answer = std::function<std::vector<DbusMessage>(const DbusMessage&)>;

    FakeManager(const std::string& path, Answer answer) : answer_(std::move(answer)) {
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.get(), 1), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeManager() { thread_.join(); }
    FakeManager(const FakeManager&) = delete;
    FakeManager& operator=(const FakeManager&) = delete;

    static DbusMessage reply(std::vector<DbusValue> body) {
        DbusMessage message;
        message.type = DbusMessage::method_return;
        message.body = std::move(body);
        return message;
    }
    static DbusMessage error(const char* name, const char* words) {
        DbusMessage message;
        message.type = DbusMessage::error;
        message.error_name = name;
        message.body = {DbusValue::string(words)};
        return message;
    }
    static DbusMessage job_removed(const char* job, const char* result) {
        DbusMessage message;
        message.type = DbusMessage::signal;
        message.path = "/org/freedesktop/systemd1";
        message.interface = "org.freedesktop.systemd1.Manager";
        message.member = "JobRemoved";
        message.body = {DbusValue::u32(1), DbusValue{"o", 0, job, {}}, DbusValue::string("u"),
                        DbusValue::string(result)};
        return message;
    }
    static DbusValue job(const char* path) { return {"o", 0, path, {}}; }

private:
    void serve() {
        const posix::UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
        std::string bytes;
        char block[4096];
        const auto more = [&] {
            const ssize_t n = ::read(peer.get(), block, sizeof block);
            if (n > 0) bytes.append(block, static_cast<std::size_t>(n));
            return n > 0;
        };
        while (bytes.find("BEGIN\r\n") == std::string::npos) {
            if (!more()) return;
        }
        bytes.erase(0, bytes.find("BEGIN\r\n") + 7);
        static_cast<void>(::write(peer.get(), "DATA\r\nOK 0123\r\n", 15) == 15);
        for (;;) {
            const std::size_t length = message_length(bytes);
            if (length == 0 || bytes.size() < length) {
                if (!more()) return;
                continue;
            }
            const DbusMessage call = decode(bytes);
            bytes.erase(0, length);
            std::uint32_t serial = 100;
            for (auto& message : answer_(call)) {
                message.serial = ++serial;
                if (message.type != DbusMessage::signal) message.reply_serial = call.serial;
                const std::string raw = encode(message);
                // In two pieces, as a socket may well do it.
                static_cast<void>(::write(peer.get(), raw.data(), 10) == 10);
                static_cast<void>(::write(peer.get(), raw.data() + 10, raw.size() - 10) > 0);
            }
        }
    }
    Answer answer_;
    posix::UniqueFd listener_;
    std::thread thread_;
};

TEST(SystemdManager, StartsAScopeAndWaitsForItsJob) {
    const testing::TempDir dir;
    UnitProperties seen;
    std::string unit;
    FakeManager fake(dir / "socket", [&](const DbusMessage& call) -> std::vector<DbusMessage> {
        if (call.member != "StartTransientUnit") return {FakeManager::reply({})};
        unit = call.body[0].text;
        for (const auto& item : call.body[2].items) seen.emplace_back(item.items[0].text, item.items[1].items[0]);
        // Another's job, and ours, before the answer that says which one is ours.
        return {FakeManager::job_removed("/j/1", "failed"), FakeManager::job_removed("/j/2", "done"),
                FakeManager::reply({FakeManager::job("/j/2")})};
    });
    {
        SystemdManager manager(DbusClient::connect(dir / "socket", false));
        manager.start(parse_systemd_scope("", "web", true), 42, {{"TasksMax", DbusValue::u64(5)}});
    }
    EXPECT_EQ(unit, "runc-web.scope");
    const auto has = [&](const char* name, const DbusValue& value) {
        EXPECT_THAT(seen, ::testing::Contains(std::pair<std::string, DbusValue>(name, value)));
    };
    has("PIDs", DbusValue::array("u", {DbusValue::u32(42)}));
    has("Slice", DbusValue::string("system.slice"));
    has("Delegate", DbusValue::boolean(true));
    has("TasksMax", DbusValue::u64(5));
}

TEST(SystemdManager, SubscribesOnAMessageBus) {
    const testing::TempDir dir;
    std::vector<std::string> members;
    {
        FakeManager fake(dir / "socket", [&](const DbusMessage& call) -> std::vector<DbusMessage> {
            members.push_back(call.member);
            if (call.member == "StartTransientUnit") {
                return {FakeManager::reply({FakeManager::job("/j/2")}), FakeManager::job_removed("/j/2", "done")};
            }
            return {FakeManager::reply({})};
        });
        SystemdManager manager(DbusClient::connect(dir / "socket", true));
        manager.start(parse_systemd_scope("", "web", true), 42, {});
    }
    EXPECT_THAT(members, ElementsAre("Hello", "AddMatch", "Subscribe", "StartTransientUnit"));
}

TEST(SystemdManager, ResetsAFailedUnitOfTheSameNameOnce) {
    const testing::TempDir dir;
    std::vector<std::string> members;
    std::string line;
    {
        FakeManager fake(dir / "socket", [&](const DbusMessage& call) -> std::vector<DbusMessage> {
            members.push_back(call.member);
            if (call.member == "ResetFailedUnit") return {FakeManager::reply({})};
            return {
                FakeManager::error("org.freedesktop.systemd1.UnitExists", "Unit runc-web.scope was already loaded")};
        });
        SystemdManager manager(DbusClient::connect(dir / "socket", false));
        line = words_of([&] { manager.start(parse_systemd_scope("", "web", true), 42, {}); });
    }
    EXPECT_THAT(members, ElementsAre("StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"));
    EXPECT_THAT(line, HasSubstr("start the systemd unit runc-web.scope"));
    EXPECT_THAT(line, HasSubstr("was already loaded"));
    EXPECT_THAT(line, HasSubstr("systemctl stop"));
}

TEST(SystemdManager, SaysHowTheJobEnded) {
    const testing::TempDir dir;
    FakeManager fake(dir / "socket", [&](const DbusMessage&) -> std::vector<DbusMessage> {
        return {FakeManager::reply({FakeManager::job("/j/2")}), FakeManager::job_removed("/j/2", "failed")};
    });
    SystemdManager manager(DbusClient::connect(dir / "socket", false));
    EXPECT_THAT(words_of([&] { manager.start(parse_systemd_scope("", "web", true), 42, {}); }),
                HasSubstr("its job ended as failed"));
    { SystemdManager gone = std::move(manager); }
}

TEST(SystemdManager, TakesAUnitThatIsGoneAsStopped) {
    const testing::TempDir dir;
    FakeManager fake(dir / "socket", [&](const DbusMessage&) -> std::vector<DbusMessage> {
        return {FakeManager::error("org.freedesktop.systemd1.NoSuchUnit", "Unit x.scope not loaded.")};
    });
    SystemdManager manager(DbusClient::connect(dir / "socket", false));
    manager.stop("x.scope");
    { SystemdManager gone = std::move(manager); }
}

TEST(SystemdManager, NamesTheSocketsWhereNobodyListens) {
    if (::access("/run/systemd/private", F_OK) == 0) return;
    EXPECT_THAT(words_of([] { SystemdManager::connect(true); }), HasSubstr("/run/systemd/private"));
}

}  // namespace
}  // namespace locald::shim
