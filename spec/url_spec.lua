-- URLs: what a reference means, seen from a place.

local query = require "daytona.http.query"
local url = require "daytona.http.url"
local reference = require "daytona.http.reference"

local function resolved(base, location)
  local parts = reference.resolve(url.parse(base), location)
  return parts and url.text(parts)
end

describe("a reference", function()
  -- RFC 3986, 5.4.1 and 5.4.2; a fragment is never sent.
  local RFC = {
    ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/", ["/g"] = "http://a/g",
    ["//g"] = "http://g/", ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y",
    ["#s"] = "http://a/b/c/d;p?q", ["g#s"] = "http://a/b/c/g", ["g?y#s"] = "http://a/b/c/g?y",
    [";x"] = "http://a/b/c/;x", ["g;x"] = "http://a/b/c/g;x", ["g;x?y#s"] = "http://a/b/c/g;x?y",
    [""] = "http://a/b/c/d;p?q", ["."] = "http://a/b/c/", ["./"] = "http://a/b/c/", [".."] = "http://a/b/",
    ["../"] = "http://a/b/", ["../g"] = "http://a/b/g", ["../.."] = "http://a/", ["../../"] = "http://a/",
    ["../../g"] = "http://a/g", ["../../../g"] = "http://a/g", ["../../../../g"] = "http://a/g",
    ["/./g"] = "http://a/g", ["/../g"] = "http://a/g", ["g."] = "http://a/b/c/g.", [".g"] = "http://a/b/c/.g",
    ["g.."] = "http://a/b/c/g..", ["..g"] = "http://a/b/c/..g", ["./../g"] = "http://a/b/g",
    ["./g/."] = "http://a/b/c/g/", ["g/./h"] = "http://a/b/c/g/h", ["g/../h"] = "http://a/b/c/h",
    ["g;x=1/./y"] = "http://a/b/c/g;x=1/y", ["g;x=1/../y"] = "http://a/b/c/y",
    ["g?y/./x"] = "http://a/b/c/g?y/./x", ["g?y/../x"] = "http://a/b/c/g?y/../x",
    ["g#s/../x"] = "http://a/b/c/g", ["/a/../b"] = "http://a/b", ["g/.."] = "http://a/b/c/",
    ["http://x/y/../z?q#f"] = "http://x/z?q",
  }

  it("is resolved as RFC 3986 has it", function()
    for location, text in pairs(RFC) do
      assert.equal(text, resolved("http://a/b/c/d;p?q", location), location)
    end
  end)

  it("that is no address of http is none", function()
    for _, location in ipairs { "g:h", "http:g", "ftp://a/b", "mailto:x", "a b", "a\tb", "http://", "//:80" } do
      assert.is_nil(resolved("http://a/b/c/d;p?q", location), location)
    end
  end)
end)

describe("a URL", function()
  it("has a port that there is, or its scheme's", function()
    assert.equal(65535, url.parse("http://a:65535/").port)
    for _, port in ipairs { "0", "65536", "x" } do assert.is_nil(url.parse("http://a:" .. port .. "/"), port) end
    assert.equal(443, url.parse("https://a").port)
    assert.equal(80, url.parse("http://a").port)
    assert.equal("http://a/", url.text(url.parse "http://a:80"))
    assert.equal("https://a/", url.text(url.parse "https://a:443"))
  end)

  it("is this machine's for names that mean it, and no others", function()
    for _, host in ipairs { "localhost", "[::1]", "127.0.0.1", "127.9.9.9", "x.localhost" } do
      assert.is_true(url.is_loopback(host), host)
    end
    for _, host in ipairs { "localhost.org", "[::2]", "127.0.0.1.org", "1127.0.0.1", "xlocalhost" } do
      assert.is_false(url.is_loopback(host), host)
    end
  end)

  it("has the names of a map in order", function()
    assert.equal("?a=1&b=2&c=3&d=4", query { d = 4, b = 2, a = 1, c = 3 })
    assert.equal("?a=1", query { a = 1 })
    assert.equal("?a=1.5", query { { "a", 1.5 } })
    assert.equal("?no=false", query { no = false })
  end)

  it("says who it is for, apart from the host", function()
    local parts = url.parse "HTTP://me:p@ss@Host:8080/a?b#c"
    assert.same({ scheme = "http", userinfo = "me:p@ss", host = "host", port = 8080, path = "/a?b" }, parts)
    assert.equal("http://host:8080/a?b", url.text(parts))
    assert.equal("http://host:8080", url.origin(parts))
    assert.equal("/?q", url.parse("http://h?q").path)
    assert.equal("[::1]", url.parse("http://[::1]:1/").host)
    assert.equal(1, url.parse("http://h:1").port)
    assert.equal("a b%", url.unescape "a%20b%25")
  end)
end)
