-- Files as the daemon is asked about them, and what is made of its answers; ports and language
-- servers, too. No server, and a clock that a spec sets.

local failure = require "daytona.http.failure"
local json = require "daytona.http.json"
local support = require "spec.support.canned"

local failed, kind_of, misused = support.failed, support.kind_of, support.misused

local canned, sb, fs

local function daemon(routes)
  canned = support.start(routes)
  sb, fs = canned.sandbox, canned.sandbox.fs
end
after_each(support.stop)

local function last() return canned.requests[#canned.requests] end

describe("files", function()
  local INFO = { name = "x", size = 3, isDir = false }

  it("are listed, with their paths, one level or more", function()
    daemon { ["GET /files"] = { { name = "a", size = 1 }, { name = "b", size = 2, path = "own" } } }
    for path, wanted in pairs { d = "d/a", ["d/"] = "d/a", ["/"] = "/a" } do
      local list = assert(fs:list(path))
      assert.same({ wanted, "own" }, { list[1].path, list[2].path })
      assert.same({ path = path }, last().query)
    end
    assert.equal("a", assert(fs:list())[1].path)
    assert.is_nil(last().query)
    assert.equal("unsupported", kind_of(fs:list("d", { depth = 2 })))
    assert.equal("d/a", assert(fs:list("d", { depth = 1 }))[1].path)
    daemon { ["GET /files"] = { { name = "a", size = 1, path = "d/e/a" } } }
    assert.equal("d/e/a", assert(fs:list("d", { depth = 2 }))[1].path)
    assert.same({ path = "d", depth = 2 }, last().query)
    for _, odd in ipairs { { name = "" }, { name = "." }, { name = ".." }, { name = "a/b" }, { name = "a\0b" },
      { n = 1 }, { name = "a", size = -1 }, { name = "a", size = 0.5 }, { name = "a", size = 2 ^ 53 },
      { name = "a", size = "1" } } do
      odd.size = odd.size or 1
      daemon { ["GET /files"] = { odd } }
      assert.equal("protocol json", kind_of(fs:list "d"))
    end
    for _, size in ipairs { 0, 2 ^ 53 - 1 } do
      daemon { ["GET /files"] = { { name = "..a", size = size } } }
      assert.equal(size, assert(fs:list "d")[1].size)
    end
    daemon { ["GET /files"] = { 503 } }
    assert.equal("unavailable", kind_of(fs:list "d"))
    misused("list: the path", fs.list, fs, "")
    misused("list: the path", fs.list, fs, "a\0b")
  end)

  it("are looked at, and may not be there", function()
    daemon { ["GET /files/info"] = INFO }
    assert.same({ "x", "d/x" }, { assert(fs:stat "d/x").name, fs:stat("d/x").path })
    assert.is_true(fs:exists "x")
    daemon { ["GET /files/info"] = { name = "x", size = 3, path = "/w/x" } }
    assert.equal("/w/x", fs:stat("x").path)
    daemon { ["GET /files/info"] = failed(404, "no", "FILE_NOT_FOUND") }
    assert.is_false(fs:exists "x")
    daemon { ["GET /files/info"] = { 503 } }
    assert.equal("unavailable", kind_of(fs:exists "x"))
    for _, odd in ipairs { { name = "x" }, { size = 1 }, { name = 5, size = 1 } } do
      daemon { ["GET /files/info"] = odd }
      assert.equal("protocol json", kind_of(fs:stat "x"))
    end
  end)

  it("are changed as callers say", function()
    daemon { ["POST /files/folder"] = true, ["DELETE /files"] = true, ["POST /files/move"] = "",
      ["POST /files/permissions"] = true }
    assert.is_true(fs:mkdir "d")
    assert.same({ { path = "d", mode = "0755" }, true }, { last().query, last().safe })
    assert.is_true(fs:mkdir("d", { mode = "700" }))
    assert.equal("700", last().query.mode)
    for _, mode in ipairs { "70", "800", "07000", "rwx", "" } do misused("mode", fs.mkdir, fs, "d", { mode = mode }) end
    assert.is_true(fs:remove "f")
    assert.same({ path = "f" }, last().query)
    fs:remove("f", { recursive = false })
    assert.same({ path = "f" }, last().query)
    fs:remove("f", { recursive = true })
    assert.same({ path = "f", recursive = true }, last().query)
    assert.is_true(fs:move("a", "b"))
    assert.same({ { source = "a", destination = "b" }, "a" }, { last().query, last().what })
    assert.is_nil(last().safe)
    assert.is_true(fs:chmod("f", "0644"))
    assert.same({ { path = "f", mode = "0644" }, true }, { last().query, last().safe })
    assert.is_true(fs:chmod("f", { owner = "o", group = "g" }))
    assert.same({ path = "f", owner = "o", group = "g" }, last().query)
    misused("chmod: the change", fs.chmod, fs, "f", 5)
    misused("chmod: the path", fs.chmod, fs, "", "0644")
    misused("mode", fs.chmod, fs, "f", "u+x")
  end)

  it("that were moved to another file system and are still there are told", function()
    for body, wanted in pairs {
      ['{"error":"permission denied"}'] = "forbidden", ['{"error":"No space left on device"}'] = "io FILE_NO_SPACE",
      ['{"error":"x: Read-only file system"}'] = "forbidden", ['{"error":"disk quota exceeded"}'] = "io FILE_NO_SPACE",
      ['{"error":"odd"}'] = "server", ['{"moved":1}'] = true, ["null"] = true, ["text"] = true,
    } do
      daemon { ["POST /files/move"] = body }
      assert.equal(wanted, kind_of(fs:move("a", "b")), body)
    end
    daemon { ["POST /files/move"] = '{"error":"odd"}' }
    local _, err = fs:move("a", "b")
    assert.same({ "move", "a", "copied, but still there: odd" }, { err.operation, err.what, err.message })
    assert.equal(sb, err.sandbox)
  end)

  it("are searched, by lines and by names", function()
    daemon {
      ["GET /files/find"] = { { file = "f", line = 1, content = "c" } },
      ["GET /files/search"] = { files = { "b", "a" } },
      ["GET /files/info"] = INFO,
    }
    assert.same({ { file = "f", line = 1, content = "c" } }, fs:grep("d", "x"))
    assert.same({ path = "d", pattern = "x" }, last().query)
    assert.same({ "a", "b" }, fs:glob("d", "*"))
    assert.same({ "GET /files/find", "GET /files/search" }, canned:asked())
    canned.routes["GET /files/find"], canned.routes["GET /files/search"] = json.array(), { files = json.null }
    assert.same({}, fs:grep("d", "x"))
    assert.same({}, fs:glob("d", "x"))
    assert.same({ "GET /files/find", "GET /files/info", "GET /files/search", "GET /files/info" }, canned:asked())
    canned.routes["GET /files/info"] = failed(404, "no", "FILE_NOT_FOUND")
    for _, call in ipairs { "grep", "glob" } do
      local _, err = fs[call](fs, "d", "x")
      assert.same({ "not_found", call }, { err.kind, err.operation })
      misused(call .. ": the path", fs[call], fs, "", "x")
      misused(call .. ": the pattern", fs[call], fs, "d", "")
      misused("holds a NUL byte", fs[call], fs, "d", "a\0b")
    end
    canned.routes["GET /files/find"], canned.routes["GET /files/search"] = { 503 }, { 503 }
    assert.same({ "unavailable", "unavailable" }, { kind_of(fs:grep("d", "x")), kind_of(fs:glob("d", "x")) })
    for _, odd in ipairs { { file = "f", line = 1 }, { file = "f", line = "1", content = "c" },
      { line = 1, content = "c" }, "x" } do
      canned.routes["GET /files/find"] = { odd }
      assert.equal("protocol json", kind_of(fs:grep("d", "x")))
    end
    for _, odd in ipairs { 5, { "a", 5 } } do
      canned.routes["GET /files/search"] = { files = odd }
      assert.equal("protocol json", kind_of(fs:glob("d", "x")))
    end
  end)

  it("have texts replaced, each for itself", function()
    local REPLACE = "POST /files/replace"
    daemon { [REPLACE] = { { success = true }, { success = true } } }
    assert.same({ { path = "a" }, { path = "b" } }, fs:replace({ "a", "b" }, "x", ""))
    assert.same({ { files = { "a", "b" }, pattern = "x", newValue = "" }, "a" }, { last().json, last().what })
    canned.routes[REPLACE] = { { success = true } }
    assert.same({ { path = "a" } }, fs:replace("a", "x", "y"))
    canned:asked()
    assert.same({}, fs:replace({}, "x", "y"))
    assert.same({}, canned:asked())
    canned.routes[REPLACE] = { { success = true }, { success = false, error = "open: no such file or directory" },
      { error = "No space left on device" }, { error = "odd" } }
    local none, err = fs:replace({ "a", "b", "c", "d", "e" }, "x", "y")
    assert.same({ nil, "not_found", "b", "replace" }, { none, err.kind, err.what, err.operation })
    local kinds = {}
    for i, result in ipairs(err.results) do kinds[i] = result.error and result.error.kind or result.path end
    assert.same({ "a", "not_found", "io", "invalid", "invalid" }, kinds)
    assert.equal("FILE_NO_SPACE", err.results[3].error.code)
    assert.matches("does not mention", err.results[5].error.message)
    assert.equal(err.results[2].error, err.cause)
    canned.routes[REPLACE] = { 503 }
    assert.equal("unavailable", kind_of(fs:replace("a", "x", "y")))
    canned.routes[REPLACE] = { "x" }
    assert.equal("protocol json", kind_of(fs:replace("a", "x", "y")))
    misused("replace: the files", fs.replace, fs, 5, "x", "y")
    misused("replace: a path", fs.replace, fs, { "a", "" }, "x", "y")
    misused("replace: the pattern", fs.replace, fs, "a", "", "y")
    misused("replace: the new text", fs.replace, fs, "a", "x", 5)
  end)
end)

describe("the end of a file", function()
  local content, asked
  local DOWNLOAD = "GET /files/download"

  -- A daemon that heeds ranges, or does not.
  local function of(text, deaf)
    content, asked = text, {}
    daemon { [DOWNLOAD] = function(request)
      local range = request.headers.Range:match "^bytes=(.*)$"
      asked[#asked + 1] = range
      if deaf then return { 200, content, {} } end
      local first = tonumber(range:match "^(%-?%d+)")
      if first < 0 then first = math.max(#content + first, 0) end
      if first >= #content then return { 416, "", { ["content-range"] = "bytes */" .. #content } } end
      local place = ("bytes %d-%d/%d"):format(first, #content - 1, #content)
      return { 206, content:sub(first + 1), { ["content-range"] = place } }
    end }
  end

  it("is so many lines or bytes, of any file", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = "line " .. i .. "\n" end
    local text = table.concat(lines)
    for _, deaf in ipairs { false, true } do
      of(text, deaf)
      for _, n in ipairs { 1, 2, 10, 3000, 4999, 5000, 6000 } do
        assert.equal(table.concat(lines, "", math.max(5001 - n, 1)), fs:tail("f", { lines = n }), n)
      end
      assert.equal(table.concat(lines, "", 4991), fs:tail "f")
      assert.equal(text:sub(-7), fs:tail("f", { bytes = 7 }))
      assert.equal("", fs:tail("f", { bytes = 0 }))
      assert.equal("", fs:tail("f", { lines = 0 }))
      of("a\n\nb", deaf)
      assert.same({ "b", "\nb", "a\n\nb", "a\n\nb" }, { fs:tail("f", { lines = 1 }), fs:tail("f", { lines = 2 }),
        fs:tail("f", { lines = 3 }), fs:tail("f", { lines = 4 }) })
      of("\nb\n", deaf)
      assert.same({ "b\n", "\nb\n" }, { fs:tail("f", { lines = 1 }), fs:tail("f", { lines = 2 }) })
      of("", deaf)
      assert.same({ "", "" }, { fs:tail("f", { lines = 1 }), fs:tail("f", { bytes = 1 }) })
    end
    of(text)
    fs:tail("f", { lines = 3000 })
    assert.same({ "-16384", "-65536" }, asked)
    daemon { [DOWNLOAD] = { 503 } }
    for _, opts in ipairs { { lines = 1 }, { bytes = 1 }, { bytes = 0 } } do
      assert.equal("unavailable", kind_of(fs:tail("f", opts)))
    end
    misused("lines or bytes", fs.tail, fs, "f", { lines = 1, bytes = 1 })
    misused("tail: the path", fs.tail, fs, "")
  end)

  it("is followed: what is added, or all of a file that was written anew", function()
    for _, deaf in ipairs { false, true } do
      of("one\n", deaf)
      local got, steps = {}, { "one\ntwo\n", "one\ntwo\n", "one\ntwo\nthree\n", "new\n", "new\nend\n" }
      local real = canned.routes[DOWNLOAD]
      local n = 0
      canned.routes[DOWNLOAD] = function(request)
        n = n + 1
        if n > 1 then content = steps[n - 1] or content end
        return real(request)
      end
      assert.is_true(fs:tail("f", { follow = function(text)
        got[#got + 1] = text
        return not text:find "end"
      end }))
      if deaf then
        assert.same({ "one\n", "two\n", "three\n", "end\n" }, { got[1], got[2], got[3], got[#got]:match "end\n" })
      else
        assert.same({ "one\n", "two\n", "three\n", "new\nend\n" }, got)
      end
      assert.same({ 0.1, 0.1 }, { canned.slept[1], canned.slept[2] })
      assert.is_true(math.abs(canned.slept[3] - 0.15) < 1e-9)
      assert.equal(0.1, canned.slept[4])
    end
    of "one\n"
    assert.is_true(fs:tail("f", { follow = function() return false end }))
    assert.same({}, canned.slept)
    local real, n = canned.routes[DOWNLOAD], 0
    canned.routes[DOWNLOAD] = function(request)
      n = n + 1
      return n > 20 and { 503 } or real(request)
    end
    assert.equal("unavailable", kind_of(fs:tail("f", { follow = function() end, bytes = 0 })))
    assert.equal(2, canned.slept[20])
    for i = 2, 20 do assert.is_true(canned.slept[i] <= 2 and canned.slept[i] >= canned.slept[i - 1]) end
  end)
end)

describe("a file that is read or downloaded", function()
  local DOWNLOAD = "GET /files/download"
  local TAG = { etag = '"v1"', ["content-length"] = "10", ["content-type"] = "text/plain; charset=utf-8" }

  local function cut(code)
    local err = failure.from_transport(code or "truncated")
    err.sent = true
    return err
  end

  -- The client retries as often as that.
  local function of(answers, retries)
    daemon { [DOWNLOAD] = function(_, n) return answers[n] or answers[#answers] end }
    sb:toolbox().max_retries = retries or 2
  end

  -- What a function is given, and what comes back.
  local function download(opts)
    local got = {}
    local info, err = fs:download("d/x", function(chunk) got[#got + 1] = chunk end, opts)
    return table.concat(got), info and info.size or kind_of(nil, err)
  end

  it("comes in one go, with what is known of it", function()
    of { { 200, { "0123", "456789" }, TAG } }
    local text
    local info = fs:download("d/x", function(chunk) text = (text or "") .. chunk end,
      { timeout = 50, idle_timeout = 7, max_bytes = 10 })
    assert.equal("0123456789", text)
    assert.same({ name = "x", path = "d/x", size = 10, mime_type = "text/plain" }, info)
    assert.same({ 50, 7, 10, { path = "d/x" }, nil }, { last().timeout, last().idle_timeout, last().max_bytes,
      last().query, last().headers })
    download()
    assert.same({ 1800, 60 }, { last().timeout, last().idle_timeout })
    assert.same({ "0123", "too_large too_large" }, { download { max_bytes = 9 } })
    of { { 200, { "0123" }, { ["content-length"] = "10" } } }
    assert.same({ "0123", "connection truncated" }, { download() })
    of { { 200, { "0123" }, { ["content-length"] = "2", ["content-encoding"] = "gzip" } } }
    local packed = fs:download("d/x", function() end)
    assert.same({ 4, "application/octet-stream" }, { packed.size, packed.mime_type })
    of { { 404, "", {} } }
    assert.same({ "", "not_found" }, { download() })
    misused("the target must be", fs.download, fs, "x", 5)
    misused("download: the path", fs.download, fs, "", print)
  end)

  it("goes on where it was cut, if it is the same", function()
    local function rest(from, text, headers)
      local known = { etag = '"v1"', ["content-range"] = ("bytes %d-9/10"):format(from) }
      for name, value in pairs(headers or {}) do known[name] = value end
      return { 206, { text }, known }
    end
    for _, code in ipairs { "truncated", "reset", "idle_timeout" } do
      of { { 200, { "0123" }, TAG, cut(code) }, rest(4, "456789") }
      assert.same({ "0123456789", 10 }, { download() })
      assert.same({ Range = "bytes=4-", ["If-Range"] = '"v1"' }, last().headers)
    end
    -- Who ignores ranges sends all of it again.
    of { { 200, { "0123" }, TAG, cut() }, { 200, { "01", "2345", "6789" }, TAG } }
    assert.same({ "0123456789", 10 }, { download() })
    -- Another one is not mixed with it.
    for _, other in ipairs {
      rest(4, "456789", { etag = '"v2"' }), rest(4, "45678", { ["content-range"] = "bytes 4-8/9" }),
      { 200, { "abcdefghij" }, { etag = '"v2"', ["content-length"] = "10" } }, { 416, "", {} } } do
      of { { 200, { "0123" }, TAG, cut() }, other }
      assert.same({ "0123", "conflict FILE_CHANGED" }, { download() })
    end
    of { { 200, { "0123" }, TAG, cut() }, rest(5, "56789") }
    assert.same({ "0123", "protocol" }, { download() })
    of { { 200, { "0123" }, TAG, cut() } , rest(4, "456789") }
    sb:toolbox().max_retries = 0
    assert.same({ "0123", "connection truncated" }, { download() })
    for _, code in ipairs { "timeout", "canceled", "sink" } do
      of { { 200, { "0123" }, TAG, cut(code) }, rest(4, "456789") }
      assert.equal("0123", (download()))
    end
  end)

  it("is known again by its tag, or by a time that is past", function()
    local function again(headers)
      headers["content-length"] = "10"
      of { { 200, { "0123" }, headers, cut() }, { 206, { "456789" },
        { etag = headers.etag, ["last-modified"] = headers["last-modified"], ["content-range"] = "bytes 4-9/10" } } }
      local _, ending = download()
      return ending, canned.requests[2] and canned.requests[2].headers["If-Range"]
    end
    local then_, now = "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:02 GMT"
    assert.same({ 10, '"t"' }, { again { etag = '"t"', ["last-modified"] = then_ } })
    assert.same({ 10, then_ }, { again { ["last-modified"] = then_, date = now } })
    assert.same({ 10, then_ }, { again { etag = 'W/"t"', ["last-modified"] = then_, date = now } })
    for _, headers in ipairs { {}, { etag = 'W/"t"' }, { ["last-modified"] = then_ }, { date = now },
      { ["last-modified"] = then_, date = "Wed, 21 Oct 2026 07:28:01 GMT" },
      { etag = '"t"', ["content-encoding"] = "gzip" } } do
      assert.same({ "connection truncated" }, { again(headers) })
    end
  end)

  it("is tried as often as a request where nothing comes", function()
    of { { 200, { "0123" }, TAG, cut() }, { 206, {}, {}, cut() } }
    assert.same({ "0123", "connection truncated" }, { download() })
    assert.equal(3, #canned:asked())
    of({ { 200, {}, {}, cut() } }, 3)
    assert.same({ "", "connection truncated" }, { download() })
    assert.equal(4, #canned:asked())
    -- Each byte begins the count anew.
    local answers = { { 200, { "0" }, TAG, cut() } }
    for i = 1, 8 do
      local place = ("bytes %d-9/10"):format(i)
      answers[i + 1] = { 206, { tostring(i) }, { etag = '"v1"', ["content-range"] = place }, cut() }
    end
    answers[10] = { 206, { "9" }, { etag = '"v1"', ["content-range"] = "bytes 9-9/10" } }
    of(answers, 1)
    assert.same({ "0123456789", 10 }, { download() })
    of { { 200, {}, {}, cut "idle_timeout" } }
    assert.same({ "", "timeout idle_timeout" }, { download() })
    assert.equal(1, #canned:asked())
    of { { 200, {}, {}, cut() } }
    canned:asked()
    assert.same({ "", "connection truncated" }, { download { timeout = 0.05 } })
    assert.equal(1, #canned:asked())
  end)

  it("goes to a file whole, from its beginning where it is another one", function()
    local path = os.tmpname()
    local function content()
      local file = io.open(path, "rb")
      local text = file and file:read "*a"
      if file then file:close() end
      return text
    end
    of { { 200, { "0123" }, TAG, cut() }, { 416, "", {} }, { 200, { "abcdefghij" }, TAG } }
    local info = assert(fs:download("d/x", path))
    assert.same({ "abcdefghij", path, 10 }, { content(), info.saved_as, info.size })
    of { { 200, { "0123" }, TAG, cut() }, { 206, { "456789" }, { etag = '"v1"', ["content-range"] = "bytes 4-9/10" } } }
    assert.equal(10, assert(fs:download("d/x", path)).size)
    assert.equal("0123456789", content())
    of({ { 200, { "0123" }, {}, cut() } }, 9)
    assert.equal("connection truncated", kind_of(fs:download("d/x", path)))
    assert.same({ "0123456789", 3 }, { content(), #canned:asked() })
    local file = assert(io.open(path, "w+b"))
    of { { 200, { "0123", "456789" }, TAG } }
    assert.equal(10, assert(fs:download("d/x", file)).size)
    file:close()
    assert.equal("0123456789", content())
    os.remove(path)
    assert.equal("io", kind_of(fs:download("d/x", "/nonexistent/x")))
    misused("has no name", fs.download, fs, "..", "/tmp/")
  end)

  it("is read as a text, or a part of it", function()
    of { { 200, "0123456789", TAG } }
    assert.equal("0123456789", fs:read "x")
    assert.same({ nil, "read", 1800, 60 }, { last().headers, last().operation, last().timeout, last().idle_timeout })
    fs:read("x", { offset = 3, timeout = 5, idle_timeout = 2, max_bytes = 9 })
    local request = last()
    assert.same({ { Range = "bytes=3-" }, 5, 2, 9 },
      { request.headers, request.timeout, request.idle_timeout, request.max_bytes })
    fs:read("x", { offset = 3, length = 2 })
    assert.equal("bytes=3-4", last().headers.Range)
    fs:read("x", { length = 2 })
    assert.equal("bytes=0-1", last().headers.Range)
    of { { 200, "", {}, cut() }, { 200, { "0123" }, TAG, cut() },
      { 206, { "456789" }, { etag = '"v1"', ["content-range"] = "bytes 4-9/10" } } }
    assert.equal("0123456789", fs:read "x")
    of { { 206, "", {}, cut() }, { 206, "", {}, cut() }, { 206, "34", { ["content-range"] = "bytes 3-4/10" } } }
    assert.equal("34", fs:read("x", { offset = 3, length = 2 }))
    of({ { 206, "", {}, cut() } }, 2)
    assert.equal("connection truncated", kind_of(fs:read("x", { offset = 3 })))
    assert.equal(3, #canned:asked())
    of { { 206, "", {}, cut "reset" } }
    assert.equal("connection reset", kind_of(fs:read("x", { offset = 3 })))
    assert.equal(1, #canned:asked())
    of { { 416, "", {} } }
    assert.equal("", fs:read("x", { offset = 30 }))
    of { { 200, "0123456789", TAG } } -- who knows no ranges
    assert.same({ "3456789", "34", "012", "" },
      { fs:read("x", { offset = 3 }), fs:read("x", { offset = 3, length = 2 }), fs:read("x", { length = 3 }),
        fs:read("x", { offset = 30 }) })
    misused("read: the path", fs.read, fs, "")
    of { { 404, "", {} } }
    assert.equal("not_found", kind_of(fs:read "x"))
  end)
end)


describe("a file that is opened", function()
  local content, asked

  local function of(text)
    content, asked = text, {}
    daemon {
      ["GET /files/info"] = function() return { name = "x", size = #content } end,
      ["GET /files/download"] = function(request)
        local first, last_one = request.headers.Range:match "^bytes=(%d+)%-(%d+)$"
        asked[#asked + 1] = request.headers.Range:sub(7)
        if tonumber(first) >= #content then return { 416, "", {} } end
        return { 206, content:sub(first + 1, last_one + 1), {} }
      end,
    }
    return assert(fs:open "x")
  end

  it("is fetched in blocks, larger and larger ones while it is read on", function()
    local file = of(("0123456789abcdef"):rep(256 * 1024)) -- 4 MiB
    assert.equal("file (x)", tostring(file))
    assert.equal("0123", file:read(4))
    assert.same({ "0-65535" }, asked)
    assert.equal(#content - 4, #file:read "a")
    assert.same({ "0-65535", "65536-196607", "196608-458751", "458752-983039", "983040-2031615", "2031616-3080191",
      "3080192-4128767", "4128768-5177343", "4194304-5242879" }, asked)
    assert.is_nil(file:read(1))
    -- What was fetched is not fetched again where one goes on in it.
    file = of(("0123456789abcdef"):rep(8192))
    file:read(10)
    assert.equal(16, file:seek("cur", 6))
    assert.equal("0", file:read(1))
    assert.equal(65536, file:seek("set", 65536))
    assert.equal(1, #asked)
    assert.equal("0", file:read(1))
    assert.same({ "0-65535", "65536-196607" }, asked)
    assert.equal(3, file:seek("set", 3))
    assert.equal("3", file:read(1))
    assert.equal("3-65538", asked[3])
    assert.equal(#content - 1, file:seek("end", -1))
    assert.equal("f", file:read "a")
    assert.same({ nil, "Invalid argument" }, { file:seek("set", -1) })
    assert.equal(0, file:seek "set")
    assert.is_false(pcall(file.seek, file, "middle"))
    canned.routes["GET /files/info"] = { 503 }
    assert.equal("unavailable", kind_of(file:seek "end"))
  end)

  it("is read like one here, but not for ever", function()
    local file = of "one\ntwo\n3 rest"
    assert.same({ "one", "two\n", 3, " re" }, { file:read("l", "L", "n", 3) })
    assert.equal("st", file:read("a", { timeout = 5 }))
    assert.is_nil(file:read "l")
    local lines = {}
    for line in of "a\nb":lines() do lines[#lines + 1] = line end
    assert.same({ "a", "b" }, lines)
    file = of "abc"
    canned.routes["GET /files/download"] = { 503 }
    assert.equal("unavailable", kind_of(file:read()))
    assert.is_false(pcall(file:lines()))
    file = of(("x"):rep(200000))
    sb:toolbox().max_bytes = 100000
    assert.equal("too_large too_large", kind_of(file:read "a"))
    assert.is_false(pcall(file.write, file, "x"))
    assert.is_true(file:close())
    assert.is_true(file:close())
    assert.equal("file (closed)", tostring(file))
    for _, call in ipairs { "read", "write", "seek", "flush", "lines" } do
      misused("closed file", file[call], file)
    end
  end)

  it("to be written to is kept here, and sent as a whole", function()
    local sent
    local function of_copy(text)
      sent = nil
      daemon {
        ["GET /files/download"] = text and { 200, { text }, {} } or failed(404, "no", "FILE_NOT_FOUND"),
        ["POST /process/execute"] = { exitCode = 0, result = "" },
        ["POST /files/bulk-upload"] = function(request)
          local part = request.parts[2]
          sent = part.data or part.file:read "*a"
          return { files = { { path = request.parts[1].data, bytes = #sent } } }
        end,
      }
    end
    of_copy()
    local file = assert(fs:open("x", "w"))
    assert.equal(file, file:write("one\n", 2, "\nthree"))
    assert.equal(file, file:flush())
    assert.equal("one\n2\nthree", sent)
    sent = nil
    file:flush()
    assert.is_nil(sent)
    assert.equal(4, file:seek("set", 4))
    assert.same({ 2, "\n", "th" }, { file:read("n", "L", 2) })
    assert.equal(file, file:write "R")
    assert.is_true(file:close())
    assert.equal("one\n2\nthRee", sent)
    of_copy()
    assert.is_true(assert(fs:open("x", "w")):close())
    assert.equal("", sent)
    of_copy "old\nlines\n"
    file = assert(fs:open("x", "a"))
    file:write "new"
    assert.is_true(file:close())
    assert.equal("old\nlines\nnew", sent)
    of_copy()
    file = assert(fs:open("x", "a+"))
    file:write "new"
    file:seek "set"
    assert.equal("new", file:read "a")
    file:write "er"
    assert.is_true(file:close())
    assert.equal("newer", sent)
    of_copy()
    assert.is_true(assert(fs:open("x", "a")):close())
    assert.equal("", sent)
    assert.equal("not_found FILE_NOT_FOUND", kind_of(fs:open("x", "r+")))
    of_copy "old\nlines\n"
    file = assert(fs:open("x", "r+b"))
    assert.same({ "old", "lines\n", nil }, { file:read("l", "L", { timeout = 1 }) })
    assert.is_true(file:close())
    assert.is_nil(sent)
    file = assert(fs:open("x", "r+"))
    assert.equal("old", file:read())
    assert.equal("lines\n", file:read("L", { timeout = 1 }))
    assert.is_nil((file:read "L"))
    file:seek "set"
    assert.equal("old\nlines\n", file:read("a", { timeout = 1 }))
    file:seek("set", 0)
    assert.equal("old", file:read { timeout = 1 })
    misused("the format must be", file.read, file, "x")
    file:write "!"
    canned.routes["POST /files/bulk-upload"] = { 503 }
    assert.equal("unavailable", kind_of(file:flush()))
    assert.equal("unavailable", kind_of(file:close()))
    assert.is_true(file:close())
  end)

  it("must be there to be read, and be a file", function()
    daemon { ["GET /files/info"] = failed(404, "no", "FILE_NOT_FOUND") }
    local none, err = fs:open "x"
    assert.same({ nil, "not_found", "open" }, { none, err.kind, err.operation })
    canned.routes["GET /files/info"] = { name = "x", size = 1, isDir = true }
    assert.equal("invalid", kind_of(fs:open "x"))
    for _, mode in ipairs { "x", "rw", "", "r++" } do misused("the mode is", fs.open, fs, "x", mode) end
    misused("open: the mode", fs.open, fs, "x", 5)
    misused("open: the path", fs.open, fs, "")
  end)
end)

describe("a port in a sandbox", function()
  local EXEC = "POST /process/execute"

  -- `seen`: what the daemon says of a port; `script`: the exit code of a look by a command.
  local function of(seen, script, port)
    daemon {
      ["GET /port/" .. (port or 3000) .. "/in-use"] = function(_, n)
        local said = seen
        if type(seen) == "function" then said = seen(n) end
        if type(said) == "boolean" then return { isInUse = said } end
        return said
      end,
      [EXEC] = function(_, n)
        local said = script
        if type(script) == "function" then said = script(n) end
        if type(said) == "number" then return { exitCode = said, result = "" } end
        return said
      end,
    }
  end

  it("is open by the daemon's word, or by the kernel's, which sees more", function()
    for port, asked in pairs { [3000] = 1, [9999] = 1, [2999] = 0, [10000] = 0, [1] = 0, [65535] = 0 } do
      of(true, 0, port)
      assert.is_true(sb:port_in_use(port))
      assert.equal(asked, canned.counts["GET /port/" .. port .. "/in-use"] or 0, port)
      assert.equal(1 - asked, canned.counts[EXEC] or 0)
    end
    of(false, 0)
    assert.is_true(sb:port_in_use(3000))
    assert.same({ "port 3000", 10 }, { canned.requests[1].what, last().json.timeout })
    assert.truthy(last().json.command:find("0BB8", 1, true))
    of(false, 1)
    assert.is_false(sb:port_in_use(3000))
    of({ isInUse = 5 }, 1)
    assert.is_false(sb:port_in_use(3000))
    of({ 503 }, 0)
    assert.equal("unavailable", kind_of(sb:port_in_use(3000)))
    of(false, failed(400, "no shell", "PROCESS_START_FAILED"))
    assert.is_false(sb:port_in_use(3000))
    of(false, failed(400, "no shell", "PROCESS_START_FAILED"), 80)
    assert.equal("invalid PROCESS_START_FAILED", kind_of(sb:port_in_use(80)))
    for _, odd in ipairs { 0, 65536, 1.5, "80x", "0", "65536", "" } do
      misused("port_in_use: the port", sb.port_in_use, sb, odd)
    end
  end)

  it("is waited for", function()
    of(function(n) return n == 4 end, 1)
    assert.equal(sb, sb:wait_for_port(3000))
    assert.equal(3, #canned.slept)
    for i, seconds in ipairs { 0.05, 0.075, 0.1125 } do assert.is_true(math.abs(canned.slept[i] - seconds) < 1e-9) end
    assert.same({ 15, 25 }, { canned.requests[1].timeout, canned.requests[2].json.timeout })
    assert.truthy(canned.requests[2].json.command:find("+ 20));", 1, true))
    of(false, 1)
    local none, err = sb:wait_for_port(3000, { timeout = 30 })
    assert.same({ nil, "timeout", "wait", "nothing listens on port 3000 after 30 seconds", 1030 },
      { none, err.kind, err.code, err.message, canned.now })
    for i = 2, #canned.slept do assert.is_true(canned.slept[i] <= 1) end
    assert.equal(1, canned.slept[#canned.slept - 1])
    of(false, 1)
    assert.equal("timeout wait", kind_of(sb:wait_for_port(3000)))
    assert.equal(1060, canned.now)
    of(function(n) return n == 500 end, 1)
    assert.equal(sb, sb:wait_for_port(3000, { timeout = 0 }))
    of(function(n) return n < 3 and { 503 } or true end, 1)
    assert.equal(sb, sb:wait_for_port(3000))
    of({ 503 }, 1)
    none, err = sb:wait_for_port(3000, { timeout = 5 })
    assert.is_nil(none)
    assert.same({ "timeout", "unavailable" }, { err.kind, err.cause.kind })
    of({ 400 }, 1)
    assert.equal("invalid", kind_of(sb:wait_for_port(3000)))
    of(true, 0, 80)
    assert.equal(sb, sb:wait_for_port(80))
    assert.same({ EXEC }, canned:asked())
  end)

  it("of another host is tried from inside", function()
    of(true, 0)
    assert.equal(sb, sb:wait_for_port(3000, { host = "db.local", timeout = 7 }))
    assert.same({ EXEC }, canned:asked())
    assert.truthy(last().json.command:find("nc -z -w 2 db.local 3000", 1, true))
    assert.equal(12, last().json.timeout)
    of(true, 126)
    assert.equal("unsupported", kind_of(sb:wait_for_port(3000, { host = "db" })))
    of(true, 1)
    local _, err = sb:wait_for_port(3000, { host = "::1", timeout = 0.5 })
    assert.equal("nothing listens on port 3000 of ::1 after 0.5 seconds", err.message)
    of(true, failed(400, "no shell", "PROCESS_START_FAILED"))
    assert.equal("invalid PROCESS_START_FAILED", kind_of(sb:wait_for_port(3000, { host = "db" })))
    for _, odd in ipairs { "-x", "a b", "$(x)", "" } do misused("host", sb.wait_for_port, sb, 1, { host = odd }) end
    misused("wait_for_port: the port", sb.wait_for_port, sb, 0)
  end)

  it("is one of a list; and the sandbox has an environment and uses something", function()
    daemon { ["GET /port"] = { ports = { 9, 8 } }, ["POST /env"] = true, ["GET /system/metrics"] = { cpuCount = 2 } }
    assert.same({ 8, 9 }, sb:ports())
    canned.routes["GET /port"] = { other = 1 }
    assert.same({}, sb:ports())
    canned.routes["GET /port"] = { 503 }
    assert.equal("unavailable", kind_of(sb:ports()))
    assert.is_true(sb:set_env { set = { A = "secret", B = 2 }, unset = { "C" } })
    assert.same({ { set = { A = "secret", B = "2" }, unset = { "C" } }, true },
      { last().json, last().safe })
    assert.equal(2, #last().secrets)
    misused("cannot be the name", sb.set_env, sb, { unset = { "1" } })
    misused("cannot be the name", sb.set_env, sb, { set = { ["a-b"] = "1" } })
    misused("set_env: the changes", sb.set_env, sb)
    assert.equal(2, sb:metrics_latest().cpu_count)
    canned.routes["POST /env"], canned.routes["GET /system/metrics"] = nil, nil
    assert.equal("unsupported", kind_of(sb:set_env {}))
    assert.equal("unsupported", kind_of(sb:metrics_latest()))
  end)
end)

describe("a language server", function()
  local server

  local function of(routes, language, root)
    daemon(routes)
    server = sb:lsp(language or "python", root or "project")
    return server
  end

  it("is started, after the daemon has heard of it", function()
    of { ["POST /lsp/did-open"] = failed(400, "not started"), ["POST /lsp/start"] = true }
    assert.equal(server, server:start())
    assert.same({ "POST /lsp/did-open", "POST /lsp/start" }, canned:asked())
    assert.same({ languageId = "python", pathToProject = "project" }, last().json)
    assert.same({ "project", 120, true }, { last().what, last().timeout, last().safe })
    server:start { timeout = 3 }
    assert.equal(3, last().timeout)
    for _, answer in ipairs { failed(500, "x"), true } do
      canned.routes["POST /lsp/did-open"] = answer
      assert.equal(server, server:start())
    end
    canned.routes["POST /lsp/did-open"] = { 503 }
    assert.equal("unavailable", kind_of(server:start()))
    for _, language in ipairs { "typescript", "javascript" } do
      of({ ["POST /lsp/start"] = true }, language)
      assert.equal(server, server:start())
      assert.same({ { "POST /lsp/start" }, "typescript" }, { canned:asked(), last().json.languageId })
    end
    canned.routes["POST /lsp/start"] = failed(500, "not installed")
    assert.equal("server", kind_of(server:start()))
    assert.equal("language server (typescript, project)", tostring(server))
    misused("lsp: the language", sb.lsp, sb, "cobol", "p")
    misused("lsp: the project", sb.lsp, sb, "python", "")
  end)

  it("is stopped, also where it does not run", function()
    for answer, wanted in pairs { [true] = true, [failed(400, "x", "LSP_SERVER_NOT_INITIALIZED")] = true,
      [{ 500, "" }] = true, [failed(500, "why")] = "server", [{ 503 }] = "unavailable" } do
      of { ["POST /lsp/stop"] = answer }
      assert.equal(wanted, kind_of(server:stop()))
    end
  end)

  it("is asked about documents by where they are", function()
    local routes = { ["POST /lsp/did-open"] = true, ["GET /work-dir"] = { dir = "/w" } }
    for root, wanted in pairs {
      p = "file:///w/p/a.py", ["./p/"] = "file:///w/p/a.py", ["/p//"] = "file:///p/a.py",
      ["file:///p"] = "file:///p/a.py", ["/"] = "file:////a.py",
    } do
      of(routes, "python", root)
      for _, path in ipairs { "a.py", "./a.py" } do
        assert.is_true(server:did_open(path))
        assert.equal(wanted, last().json.uri)
      end
    end
    server:did_open "/x/y"
    assert.equal("file:///x/y", last().json.uri)
    server:did_open "file:///x%20"
    assert.equal("file:///x%20", last().json.uri)
    of { ["GET /work-dir"] = { 503 } }
    assert.equal("unavailable", kind_of(server:did_close "a"))
    misused("did_open: the path", server.did_open, server, "")
    of { ["GET /lsp/workspacesymbols"] = { { name = "n" } }, ["GET /lsp/document-symbols"] = { { name = "m" } } }
    assert.same({ { name = "n" } }, server:workspace_symbols "q")
    assert.same({ languageId = "python", pathToProject = "project", query = "q" }, last().query)
    assert.same({ { name = "m" } }, server:document_symbols "/a")
    misused("workspace_symbols: the query", server.workspace_symbols, server, "")
  end)

  it("completes, at a place that old daemons take for none", function()
    local COMPLETIONS = "POST /lsp/completions"
    of { [COMPLETIONS] = { isIncomplete = true, items = { { label = "l" } } } }
    assert.same({ is_incomplete = true, items = { { label = "l" } } }, server:completions("/a",
      { line = 1, character = 2 }, { context = { trigger_kind = 2, trigger_character = "." } }))
    assert.same({ { line = 1, character = 2 }, { triggerKind = 2, triggerCharacter = "." } },
      { last().json.position, last().json.context })
    canned.routes[COMPLETIONS] = { other = 1 }
    assert.same({ is_incomplete = false, items = {} }, server:completions("/a", { line = 0, character = 0 }))
    local place = { line = 1, character = 1 }
    for _, odd in ipairs { {}, { line = 1 }, { character = 1 }, { line = -1, character = 0 } } do
      misused("completions", server.completions, server, "/a", odd)
    end
    for _, kind in ipairs { 0, 4 } do
      misused("trigger_kind", server.completions, server, "/a", place, { context = { trigger_kind = kind } })
    end
    misused("needs a trigger_kind", server.completions, server, "/a", place, { context = {} })
    local function refused(version, position, answer)
      of { [COMPLETIONS] = answer or { 400, "bad" }, ["GET /version"] = version and { version = version } or { 503 } }
      return kind_of(server:completions("/a", position))
    end
    for _, zero in ipairs { { line = 0, character = 1 }, { line = 1, character = 0 } } do
      for version, kind in pairs { ["v0.190.0"] = "unsupported", ["0.18.1"] = "unsupported", ["v0.191.0"] = "invalid",
        odd = "invalid" } do
        assert.equal(kind, refused(version, zero))
      end
      assert.equal("invalid", refused(nil, zero))
      assert.equal("invalid X", refused("v0.190.0", zero, failed(400, "bad", "X")))
      assert.equal("server", refused("v0.190.0", zero, failed(500, "bad")))
    end
    assert.equal("invalid", refused("v0.190.0", place))
  end)
end)
