#include "ztunnel/admin/http.h"

#include <gtest/gtest.h>

namespace weft::admin {
namespace {

TEST(Http, ReadsMethodPathAndQuery) {
  const auto request = parse_head("POST /logging?level=debug&reset&x=a%20b%2Fc+d HTTP/1.1\r\nHost: z\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->path, "/logging");
  EXPECT_EQ(request->parameter("level"), "debug");
  EXPECT_EQ(request->parameter("reset"), "");
  EXPECT_EQ(request->parameter("x"), "a b/c d");
  EXPECT_EQ(request->parameter("none"), std::nullopt);
  EXPECT_EQ(request->content_length, 3u);
}

TEST(Http, ABadHeadIsOneSentence) {
  for (const char* head : {"", "\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / SPDY\r\n\r\n", "GET http://x/ HTTP/1.1\r\n\r\n",
                           "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n",
                           "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                           "GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                           "GET / HTTP/1.1\r\nHost: a"}) {
    const auto request = parse_head(head);
    ASSERT_FALSE(request) << head;
    EXPECT_FALSE(request.error().text.empty());
  }
}

TEST(Http, AnswersHeadWithoutABody) {
  EXPECT_TRUE(format_response({.body = "abc"}, false).ends_with("\r\n\r\nabc"));
  const auto head = format_response({.body = "abc"}, true);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos);
}

}  // namespace
}  // namespace weft::admin
