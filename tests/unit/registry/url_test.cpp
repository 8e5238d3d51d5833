#include "core/registry/url.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>

#include "core/base/error.hpp"
#include "core/registry/blob.hpp"
#include "core/registry/proxy.hpp"
#include "core/registry/retry.hpp"

namespace locald::registry {
namespace {

ErrorKind kind_of_redirect(const std::string& from, const std::string& to) {
    try {
        resolve_location(parse_url(from, "test"), to);
    } catch (const Error& e) {
        return e.kind();
    }
    return ErrorKind::system;
}

TEST(Url, ReadsHostPortPathAndQuery) {
    const Url url = parse_url("HTTPS://Registry.Example:5000/v2/a?b=c#d", "test");
    EXPECT_EQ(url.origin, (Origin{"https", "registry.example", 5000}));
    EXPECT_EQ(url.target, "/v2/a?b=c");
    EXPECT_EQ(url.str(), "https://registry.example:5000/v2/a?b=c");
    EXPECT_EQ(parse_url("https://a?x", "test").target, "/?x");
    EXPECT_EQ(parse_url("https://a", "test").str(), "https://a/");
    EXPECT_EQ(parse_url("http://[::1]:80/", "test").origin, (Origin{"http", "::1", 80}));
    EXPECT_EQ(parse_url("https://[2001:DB8::1]/", "test").origin.authority(), "[2001:db8::1]");
}

TEST(Url, RefusesWhatCouldMeanAnotherHost) {
    for (const char* text : {"https://registry.example@evil.example/",
                             "https://user:password@host/",
                             "ftp://host/",
                             "//host/",
                             "host/path",
                             "",
                             "https://",
                             "https:///path",
                             "https://:443/",
                             "https://host:0/",
                             "https://host:65536/",
                             "https://host:/",
                             "https://host:44 3/",
                             "https://ho st/",
                             "https://host/a\r\nEvil: header",
                             "https://host\\@evil/",
                             "https://host/\x80",
                             "https://[::1",
                             "https://[::1]x/",
                             "https://[nosuch]/",
                             "https://ho%73t/",
                             "javascript://host/"}) {
        EXPECT_THROW(parse_url(text, "test"), Error) << text;
    }
}

TEST(Url, ResolvesLocationsAgainstTheRequest) {
    const Url base = parse_url("https://host:5000/v2/a/b?q=1", "test");
    EXPECT_EQ(resolve_location(base, "/x?y").str(), "https://host:5000/x?y");
    EXPECT_EQ(resolve_location(base, "c").str(), "https://host:5000/v2/a/c");
    EXPECT_EQ(resolve_location(base, "?z").str(), "https://host:5000/v2/a/b?z");
    EXPECT_EQ(resolve_location(base, "//other/x").str(), "https://other/x");
    EXPECT_EQ(resolve_location(base, "https://other/x").str(), "https://other/x");
    EXPECT_EQ(resolve_location(base, "/login?to=http://x/").str(), "https://host:5000/login?to=http://x/");
    EXPECT_EQ(resolve_location(parse_url("http://host/", "test"), "https://host/").str(), "https://host/");
}

TEST(Url, RefusesARedirectOutOfTheEncryptedConnection) {
    EXPECT_EQ(kind_of_redirect("https://host/", "http://host/"), ErrorKind::denied);
    EXPECT_EQ(kind_of_redirect("https://host/", "http://localhost/"), ErrorKind::denied);
    EXPECT_EQ(kind_of_redirect("https://host/", "file:///etc/passwd"), ErrorKind::invalid);
    EXPECT_EQ(kind_of_redirect("https://host/", "https://user@other/"), ErrorKind::invalid);
    EXPECT_EQ(kind_of_redirect("https://host/", "//user@other/"), ErrorKind::invalid);
}

TEST(Url, KnowsLoopbackByName) {
    for (const char* host : {"localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.8.9.10", "::1"}) {
        EXPECT_TRUE(is_loopback_name(host)) << host;
    }
    for (const char* host :
         {"localhost.example", "127.0.0.1.example", "128.0.0.1", "::2", "1270.0.0.1", "notlocalhost"}) {
        EXPECT_FALSE(is_loopback_name(host)) << host;
    }
}

TEST(Url, PercentEncodesAllButUnreservedCharacters) {
    EXPECT_EQ(percent_encode("a-b.c_d~ /:&=\xff"), "a-b.c_d~%20%2F%3A%26%3D%FF");
    EXPECT_EQ(percent_decode("a%20%2f%zz%"), "a /%zz%");
}

TEST(ContentRange, ReadsWhatA206Carries) {
    EXPECT_EQ(parse_content_range("bytes 5-9/10"), (ContentRange{5, 9, 10}));
    EXPECT_EQ(parse_content_range("bytes 5-9/*"), (ContentRange{5, 9, std::nullopt}));
    for (const char* text : {"", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -5/10", "bytes */10",
                             "items 5-9/10", "bytes 5-9/x", "bytes 0-18446744073709551615/*"}) {
        EXPECT_EQ(parse_content_range(text), std::nullopt) << text;
    }
}

TEST(RetryAfter, ReadsSecondsAndDates) {
    using std::chrono::seconds;
    EXPECT_EQ(parse_retry_after(" 7 "), seconds(7));
    EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), seconds(0));
    const auto far = parse_retry_after("Wed, 21 Oct 2099 07:28:00 GMT");
    ASSERT_TRUE(far);
    EXPECT_GT(*far, seconds(1'000'000));
    EXPECT_EQ(parse_retry_after(""), std::nullopt);
    EXPECT_EQ(parse_retry_after("soon"), std::nullopt);
    EXPECT_EQ(parse_retry_after("-1"), std::nullopt);
}

Origin origin_of(const std::string& url) { return parse_url(url, "test").origin; }

TEST(Proxy, IsChosenBySchemeAndCarriesItsLogin) {
    const ProxySettings settings{"http://us%40er:p%3Aw@proxy:3128/", "plain:8080", ""};
    const auto secure = proxy_for(origin_of("https://registry.example"), settings);
    ASSERT_TRUE(secure);
    EXPECT_EQ(secure->origin, (Origin{"http", "proxy", 3128}));
    EXPECT_EQ(secure->authorization, "Basic dXNAZXI6cDp3");
    const auto plain = proxy_for(origin_of("http://registry.example"), settings);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->origin, (Origin{"http", "plain", 8080}));
    EXPECT_EQ(plain->authorization, "");
    EXPECT_FALSE(proxy_for(origin_of("https://registry.example"), {}));
}

TEST(Proxy, IsNeverUsedForLoopback) {
    const ProxySettings settings{"http://proxy", "http://proxy", ""};
    EXPECT_FALSE(proxy_for(origin_of("http://127.0.0.1:5000"), settings));
    EXPECT_FALSE(proxy_for(origin_of("https://localhost"), settings));
}

TEST(Proxy, IsPassedByForWhatNoProxyNames) {
    const auto passed_by = [](const std::string& url, const std::string& except) {
        return !proxy_for(origin_of(url), {"http://proxy", "http://proxy", except});
    };
    EXPECT_TRUE(passed_by("https://a.example", "x, example"));
    EXPECT_TRUE(passed_by("https://a.example", ".example"));
    EXPECT_TRUE(passed_by("https://a.example", "*.example"));
    EXPECT_TRUE(passed_by("https://a.example", "A.EXAMPLE:443"));
    EXPECT_TRUE(passed_by("https://a.example", "*"));
    EXPECT_TRUE(passed_by("https://10.1.2.3", "10.0.0.0/8"));
    EXPECT_TRUE(passed_by("https://[fd00::1]", "fd00::/8"));
    EXPECT_TRUE(passed_by("https://[fd00::1]", "[fd00::1]"));
    EXPECT_FALSE(passed_by("https://a.example", "a.example:80"));
    EXPECT_FALSE(passed_by("https://notexample", "example"));
    EXPECT_FALSE(passed_by("https://11.1.2.3", "10.0.0.0/8"));
    EXPECT_FALSE(passed_by("https://10.1.2.3", "10.0.0.0/33"));
    EXPECT_FALSE(passed_by("https://10.64.0.1", "10.128.0.0/9"));
    EXPECT_FALSE(passed_by("https://a.example", ", ,"));
}

TEST(Proxy, RefusesTlsToTheProxyByName) {
    EXPECT_THROW(proxy_for(origin_of("https://a.example"), {"https://proxy", "", ""}), Error);
    EXPECT_THROW(proxy_for(origin_of("https://a.example"), {"http://pro xy", "", ""}), Error);
}

}  // namespace
}  // namespace locald::registry
