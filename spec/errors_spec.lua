local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local redact = require "daytona.base.redact"

local function answered(status, body, headers, context)
  return failure.from_response({ status = status, body = body, headers = headers }, context)
end

describe("an error", function()
  it("has one kind for every status", function()
    local kinds = {
      [400] = "invalid", [401] = "auth", [403] = "forbidden", [404] = "not_found", [405] = "invalid",
      [408] = "timeout", [409] = "conflict", [410] = "gone", [422] = "invalid", [429] = "rate_limited",
      [500] = "server", [501] = "server", [502] = "unavailable", [503] = "unavailable", [504] = "timeout",
      [304] = "protocol",
    }
    for status, kind in pairs(kinds) do assert.equal(kind, answered(status, "").kind, status) end
  end)

  it("has a kind for every code of the daemon, whatever the status says", function()
    local kinds = {
      GIT_AUTH_FAILED = "auth", GIT_REPO_NOT_FOUND = "not_found", GIT_BRANCH_NOT_FOUND = "not_found",
      GIT_BRANCH_EXISTS = "conflict", GIT_PUSH_REJECTED = "conflict", GIT_DIRTY_WORKTREE = "conflict",
      GIT_MERGE_CONFLICT = "conflict", GIT_TRANSPORT_FAILED = "unavailable", GIT_REMOTE_REJECTED = "invalid",
      FILE_NOT_FOUND = "not_found", FILE_ACCESS_DENIED = "forbidden", INVALID_FILE_PATH = "invalid",
      FILE_READ_FAILED = "server", LSP_SERVER_NOT_INITIALIZED = "invalid",
      PROCESS_EXECUTION_TIMEOUT = "process_timeout", PROCESS_NOT_FOUND = "not_found", SESSION_ENDED = "gone",
      COMMAND_ALREADY_COMPLETED = "gone", A11Y_UNAVAILABLE = "unavailable", RECORDING_STILL_ACTIVE = "conflict",
      RECORDING_FFMPEG_NOT_FOUND = "unavailable",
    }
    for code, kind in pairs(kinds) do
      local with_source = ('{"message":"m","code":"%s","source":"DAYTONA_DAEMON"}'):format(code)
      local without = ('{"message":"m","code":"%s"}'):format(code)
      assert.equal(kind, answered(500, with_source).kind, code)
      assert.equal(kind, answered(400, without).kind, code)
      assert.is_true(errors.is(answered(400, without), code))
    end
  end)

  it("knows a missing session by its words, where an old daemon says 500", function()
    local err = answered(500, '{"message":"failed to execute command: not found: session not found"}')
    assert.equal("not_found", err.kind)
    assert.equal("not_found", answered(500, '{"message":"session not found"}').kind)
    assert.equal("invalid", answered(400, '{"message":"session not found"}').kind)
    assert.equal("server", failure.from_response({ status = 500 }).kind)
  end)

  it("belongs to the family of its code", function()
    local err = answered(401, '{"message":"no","code":"GIT_AUTH_FAILED"}')
    assert.is_true(errors.is(err))
    assert.is_true(errors.is(err, "git"))
    assert.is_true(errors.is(err, "auth"))
    assert.is_false(errors.is(err, "file"))
    assert.is_true(errors.is(answered(400, '{"code":"INVALID_FILE_PATH"}'), "file"))
    assert.is_true(errors.is(answered(408, '{"code":"PROCESS_EXECUTION_TIMEOUT"}'), "timeout"))
    assert.is_false(errors.is("a string", "git"))
    assert.is_false(errors.is(nil))
  end)

  it("finds the message in a body of any shape", function()
    local shapes = {
      ['{"message":"plain"}'] = "plain",
      ['{"error":"Not started","details":"failed: [novnc]"}'] = "Not started: failed: [novnc]",
      ['{"error":"no novnc","details":"novnc"}'] = "no novnc",
      ['{"error":"novnc is off","details":"novnc"}'] = "novnc is off", ['{"error":"abc","details":"a.c"}'] = "abc: a.c",
      ['{"message":["a is wrong","b is too"]}'] = "a is wrong, b is too",
      ['{"message":[{"constraints":{"message":"deep"}}]}'] = "deep",
      ['{"error":"only error"}'] = "only error",
      ['{"detail":"in detail"}'] = "in detail", ['{"message":" ","errors":[{"detail":["far","in"]},7]}'] = "far, in",
      ['{"message":{"message":{"message":{"message":{"message":{"message":"deep"}}}}}}'] = "deep",
      ["<h1></h1>"] = "the server answered 502 Bad Gateway",
      ['{"error":{"message":"nested","code":"X"}}'] = "nested",
      ['{"errors":["first","second"],"files":null}'] = "first, second",
      ['"a JSON string"'] = "a JSON string",
      ["just text\n"] = "just text",
      ["<html><head><title>502 Bad\nGateway</title></head><body>"] = "502 Bad Gateway",
      ["<!DOCTYPE html><h1>Down <b>now</b></h1>"] = "Down now",
      ['{"message":"cut'] = '{"message":"cut',
    }
    for body, message in pairs(shapes) do assert.equal(message, answered(502, body).message, body) end
  end)

  it("says what was asked where the body says nothing", function()
    for _, body in ipairs { "", "  \n", "{}", "[]", '{"message":""}', '{"message":7}', "\0\1" } do
      local err = answered(404, body, nil, { method = "GET", path = "/files/info" })
      assert.equal("GET /files/info was answered 404 Not Found", err.message, body)
    end
    assert.equal("the server answered status 599", answered(599, "").message)
    for status, words in pairs { [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
      [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request",
      [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden", [405] = "Method Not Allowed",
      [408] = "Request Timeout", [409] = "Conflict", [410] = "Gone", [413] = "Content Too Large",
      [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable", [422] = "Unprocessable Content",
      [429] = "Too Many Requests", [500] = "Internal Server Error", [501] = "Not Implemented",
      [502] = "Bad Gateway", [503] = "Service Unavailable", [504] = "Gateway Timeout" } do
      assert.equal(("the server answered %d %s"):format(status, words), answered(status, "").message)
    end
  end)

  it("says what a bare refusal of the key means", function()
    assert.equal("Unauthorized: the service does not accept this key",
      answered(401, '{"message":"Unauthorized","code":"UNAUTHORIZED"}').message)
    assert.equal("invalid signature", answered(401, '{"message":"invalid signature"}').message)
  end)

  it("guesses why the service does not know a path", function()
    assert.equal("Cannot POST /sandbox: does api_url end in /api?",
      answered(404, '{"message":"Cannot POST /sandbox","error":"Not Found","statusCode":404}').message)
    assert.equal("Cannot GET /api/sandbix", answered(404, '{"message":"Cannot GET /api/sandbix"}').message)
  end)

  it("reads code and source, also of old daemons and from inside", function()
    local err = answered(404, '{"error":{"message":"m","error_code":"FILE_NOT_FOUND"},"source":"DAYTONA_DAEMON"}')
    assert.equal("FILE_NOT_FOUND", err.code)
    assert.equal("DAYTONA_DAEMON", err.source)
    assert.is_nil(answered(404, '{"code":17,"message":"m"}').code)
  end)

  it("reads dates as the calendar has them", function()
    for text, seconds in pairs {
      ["Wed, 21 Oct 2037 07:28:00 GMT"] = 2139722880, ["Fri, 29 Feb 2036 00:00:01 GMT"] = 2087856001,
      ["Thu, 01 Jan 1970 00:00:00 GMT"] = 0, ["Sun, 06 Nov 1994 08:49:37 GMT"] = 784111777,
      ["Wednesday, 01-Mar-2000 00:00:00 GMT"] = 951868800, ["Thu, 31 Dec 2099 23:59:59 GMT"] = 4102444799,
    } do
      assert.equal(seconds, failure.http_date(text), text)
    end
    for month, name in ipairs { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" } do
      local days = ({ 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 })[month]
      assert.equal(1767225600 + days * 86400, failure.http_date(("Day, 01 %s 2026 00:00:00 GMT"):format(name)), name)
    end
    assert.is_nil(failure.http_date "soon")
    assert.is_nil(failure.http_date "Day, 01 Foo 2026 00:00:00 GMT")
  end)

  it("knows how long to wait, whatever throttler says so", function()
    assert.equal(7, answered(429, "", { ["Retry-After"] = "7" }).retry_after)
    assert.equal(12, answered(429, "", { ["Retry-After-sandbox-create"] = "12" }).retry_after)
    assert.equal(9, answered(429, "", { ["retry-after-a"] = "9", ["Retry-After-B"] = "3" }).retry_after)
    assert.equal(30, answered(429, "", {
      ["Retry-After"] = "Sun, 06 Nov 1994 08:49:37 GMT", Date = "Sun, 06 Nov 1994 08:49:07 GMT",
    }).retry_after)
    assert.is_nil(answered(429, "", { ["Retry-After"] = "soon" }).retry_after)
    assert.equal(2, answered(429, "", { ["Retry-After"] = "2", ["retry-after-ms"] = "1500" }).retry_after)
    assert.equal(0, answered(429, "", { ["Retry-After"] = "-2" }).retry_after)
    assert.equal(0.5, answered(429, "", { ["Retry-After"] = "0.5" }).retry_after)
    for _, odd in ipairs { "nan", "inf", "1e999" } do
      assert.is_nil(answered(429, "", { ["Retry-After"] = odd }).retry_after)
    end
    local soon = answered(429, "", { ["Retry-After"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60) })
    assert.is_true(soon.retry_after > 30 and soon.retry_after <= 60)
  end)

  it("gives headers in any letter case, and the id of the request", function()
    local err = answered(500, "", { ["X-Request-Id"] = "r-1" })
    assert.equal("r-1", err.request_id)
    assert.equal("r-1", err.headers["x-REQUEST-id"])
    assert.is_nil(err.headers["nope"])
    assert.is_nil(err.headers[1])
    for _, name in ipairs { "X-Request-Id", "X-Daytona-Request-Id", "Request-Id", "X-Correlation-Id", "CF-Ray" } do
      assert.equal("r-1", answered(500, "", { [name] = "r-1" }).request_id, name)
    end
    assert.is_nil(answered(500, "").request_id)
  end)

  it("is told of a body that is nested without end", function()
    local deep = ('{"message":'):rep(900) .. '"x"' .. ("}"):rep(900)
    assert.equal("x", answered(500, deep).message)
    assert.equal("the server answered 500 Internal Server Error", answered(500, (deep:gsub("x", ""))).message)
    assert.is_string(answered(500, ('{"message":'):rep(100000)).message)
  end)

  it("keeps no more of a body than is useful", function()
    local err = answered(500, ("x"):rep(1000000))
    assert.equal(65536, #err.body)
    assert.is_true(#err.message <= 4100)
  end)

  it("is one line of text", function()
    local body = '{"message":"two\\nlines","code":"CONFLICT"}'
    local err = answered(409, body, nil, { operation = "create", what = "box" })
    assert.equal("create on box: two lines (conflict, 409, CONFLICT)", tostring(err))
    assert.equal("create on box: two lines (conflict, 409, CONFLICT)!", err .. "!")
    assert.equal("= " .. tostring(err), "= " .. err)
    local plain = errors.new { kind = "io", message = "no space" }
    assert.equal("no space (io)", tostring(plain))
    assert.equal("exec on web: gone (gone)",
      tostring(errors.new { kind = "gone", message = "gone", operation = "exec", sandbox = { name = "web" } }))
  end)

  it("says of transport failures what they are", function()
    local kinds = {
      timeout = "timeout", connect_timeout = "timeout", idle_timeout = "timeout", canceled = "canceled",
      resolve = "connection", connect = "connection", reset = "connection", truncated = "connection",
      tls = "tls", protocol = "protocol", too_large = "too_large", sink = "io", source = "io",
      out_of_memory = "internal", forked = "internal", internal = "internal", bad_argument = "invalid",
    }
    for code, kind in pairs(kinds) do
      local err = failure.from_transport(code, "detail", 0, { operation = "get" })
      assert.equal(kind, err.kind, code)
      assert.equal(code, err.code)
      assert.is_nil(err.errno)
    end
    assert.equal(28, failure.from_transport("sink", "No space left on device", 28).errno)
    local lost = "the connection was lost"
    assert.equal(lost .. ": why", failure.from_transport("reset", "why").message)
    for _, detail in ipairs { "", lost } do assert.equal(lost, failure.from_transport("reset", detail).message) end
    assert.equal(lost, failure.from_transport("reset").message)
    assert.equal("new_code", failure.from_transport("new_code").message)
    assert.is_true(errors.is(failure.from_transport("connect_timeout"), "connection"))
  end)

  it("says whether a later try may help", function()
    assert.is_true(answered(503, "").retryable)
    assert.is_true(answered(429, "").retryable)
    assert.is_true(failure.from_transport("reset").retryable)
    assert.is_false(answered(404, "").retryable)
    assert.is_false(answered(503, '{"code":"RECORDING_FFMPEG_NOT_FOUND"}').retryable)
    assert.is_false(answered(503, '{"code":"A11Y_UNAVAILABLE"}').retryable)
    assert.is_true(answered(503, '{"code":"ANOTHER"}').retryable)
  end)

  it("is raised by daytona.assert as something every Lua can show", function()
    local err = answered(404, "")
    assert.equal(1, errors.assert(1, "x"))
    local fine, raised = pcall(errors.assert, nil, err)
    assert.is_false(fine)
    assert.equal(tostring(err), tostring(raised))
    if _VERSION == "Lua 5.1" and not jit then assert.equal("string", type(raised)) end
  end)
end)

describe("misuse", function()
  it("is raised at the line of the caller, however deep it is noticed", function()
    local options = require "daytona.base.options"
    local line = debug.getinfo(1, "l").currentline + 1
    local _, text = pcall(function() return (options.check("f", { a = "string" }, { a = 1 })) end)
    assert.truthy(text:find("errors_spec.lua:" .. line .. ": f: option 'a'", 1, true), text)
  end)
end)

describe("misuse in a task", function()
  local daytona = require "daytona"

  -- Its line is all there is of a function that ends in `return sb:exec(...)`.
  local function where(text) return text:match "in the function of [^:]*errors_spec.lua:(%d+): " end

  local options = require "daytona.base.options"
  local function exec() return options.check("exec", { cwd = "string" }, { cdw = "/" }) end

  it("is raised at its line where there is one", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local _, err = daytona.spawn(function()
      local fine = daytona.sleep(-1)
      return fine
    end):wait()
    assert.truthy(err.message:find("errors_spec.lua:" .. line .. ": sleep", 1, true), err.message)
  end)

  it("else names the function that the task was made of", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function tail() return daytona.sleep(-1) end
    local _, one = daytona.spawn(tail):wait()
    local _, two = daytona.map({ 1, 2 }, tail, { concurrency = 1 })
    local _, three = daytona.gather { tail }
    local failures = { one, two, three }
    daytona.callback(tail)(function(...) failures[4] = select(2, ...) end):wait()
    assert.equal(4, #failures)
    for i, err in ipairs(failures) do
      assert.equal("task", err.kind)
      -- 5.1 and LuaJIT with its compiler off may keep a line
      assert.equal(tostring(line), where(err.message) or err.message:match "errors_spec.lua:(%d+): sleep", i)
    end
    local odd = select(2, daytona.spawn(exec):wait())
    assert.matches("exec: unknown option 'cdw'", odd.message)
    assert.matches("unknown option 'cdw'", select(2, daytona.spawn(options.check, "f", {}, { cdw = 1 }):wait()).message)
  end)
end)

describe("what a service names", function()
  it("can be shown on a terminal", function()
    local err = errors.new { kind = "io", operation = "connect", what = "a\r\nX: 1", message = "no\27[2J\nway" }
    assert.equal("a??X: 1", err.what)
    assert.equal("no?[2J\nway", err.message)
    assert.equal("connect on a??X: 1: no?[2J way (io)", tostring(err))
    for text, shown in pairs {
      ["\0"] = "?", ["caf\195\169"] = "caf\195\169", ["\195"] = "?", ["\233t\233"] = "?t?", ["\194\155m"] = "?m",
      ["\194\169"] = "\194\169", ["\223\191"] = "\223\191", ["\224\164\133"] = "\224\164\133",
      ["\240\159\152\128"] = "\240\159\152\128", ["\244\143\191\191"] = "\244\143\191\191",
      ["\245\128\128\128"] = "?", ["\224\164"] = "?", ["\128\128"] = "?", ["\192\175"] = "?", ["\127"] = "?",
    } do
      assert.equal(shown, errors.new { kind = "io", message = "m", what = text }.what)
    end
    assert.equal("exec: m (io)", tostring(errors.new { kind = "io", message = "m", operation = "exec" }))
    assert.equal("exec on a b: m (io)",
      tostring(errors.new { kind = "io", message = "m", operation = "exec", sandbox = "a\r\nb" }))
  end)
end)

describe("secrets", function()
  it("never reach a message", function()
    local context = { secrets = { "sk-live-12345", "hunter22" }, what = "https://bob:hunter22@host/x" }
    local err = answered(401, '{"message":"key sk-live-12345 of Bearer abc.def refused, pw hunter22"}', nil, context)
    for _, text in ipairs { err.message, tostring(err), err.body, err.what } do
      for _, secret in ipairs { "sk-live-12345", "hunter22", "abc.def" } do
        assert.is_nil(text:find(secret, 1, true), text)
      end
    end
    assert.is_nil(rawget(err, "secrets"))
  end)

  it("are known by their looks", function()
    local texts = {
      ["https://user:pass@host/p"] = "https://[redacted]@host/p",
      ["https://user:p@ss@host/x"] = "https://[redacted]@host/x",
      ["authorization: bearer xyz123"] = "authorization: bearer [redacted]",
      ["Authorization: Basic dXNlcjpwYXNz\r\nHost: x"] = "Authorization: Basic [redacted]\r\nHost: x",
      ["failed: Authorization: abcdefgh"] = "failed: Authorization: [redacted]",
      ["sent Basic dXNlcjpwYXNz and Bearer abc.def"] = "sent Basic [redacted] and Bearer [redacted]",
      ["x-api-key: abcdefgh"] = "x-api-key: [redacted]",
      ["Set-Cookie: a=b; Path=/"] = "Set-Cookie: [redacted]",
      ["request failed: token: hunter2abc, try again"] = "request failed: token: [redacted], try again",
      ["GET /files/download?path=a&signature=v1_abc"] = "GET /files/download?path=a&signature=[redacted]",
      ["?X-Amz-Signature=00ff&X-Amz-Date=1"] = "?X-Amz-Signature=[redacted]&X-Amz-Date=1",
      ["DAYTONA_SANDBOX_AUTH_KEY=k1 DAYTONA_API_KEY=k2"] =
        "DAYTONA_SANDBOX_AUTH_KEY=[redacted] DAYTONA_API_KEY=[redacted]",
      ['{"password":"p w","user":"u"}'] = '{"password":"[redacted]","user":"u"}',
      ['{"password":"ab\\"SECRET\\\\","user":"u"}'] = '{"password":"[redacted]","user":"u"}',
      ['{"accessToken": "abcdef", "clientSecret":"ghi","a":"b"}'] =
        '{"accessToken": "[redacted]", "clientSecret":"[redacted]","a":"b"}',
      ["{'api_key': 'k\\'1', 'n': 1}"] = "{'api_key': '[redacted]', 'n': 1}",
      ['{"token":"cut of'] = '{"token":"[redacted]',
      ["key dtn_0123456789abcdef0123 refused"] = "key [redacted] refused",
      ["key dtn_0123456789abcdef refused"] = "key [redacted] refused",
      ["key dtn_0123456789abcde refused"] = "key dtn_0123456789abcde refused",
      ["Cookie: x"] = "Cookie: [redacted]", ["Authorization: \r\nHost: x"] = "Authorization: \r\nHost: x",
      ["Authorization: Token "] = "Authorization: [redacted]", ["X-Secret: plain"] = "X-Secret: [redacted]",
      ["password: secretsecretsecretsecret"] = "password: [redacted]", ["password: ABcDe"] = "password: [redacted]",
      ["password: abc="] = "password: [redacted]", ["password: a/b"] = "password: [redacted]",
      ["Bearer abcdefghijklmnopqrstuvwx"] = "Bearer [redacted]", ["Basic YWJj="] = "Basic [redacted]",
      ["token=a&b=c"] = "token=[redacted]&b=c", ["token=&b=c"] = "token=&b=c",
      ["https://h/a?next=https://u:p@h2/"] = "https://h/a?next=https://[redacted]@h2/",
      ['{"n":"x","token" : "t","m":"y"}'] = '{"n":"x","token" : "[redacted]","m":"y"}',
    }
    for text, clean in pairs(texts) do assert.equal(clean, redact(text)) end
  end)

  it("are not seen in sentences", function()
    for _, text in ipairs {
      "Bearer token is invalid", "Bearer authentication failed: the token expired", "Basic auth is required",
      "invalid token: expired", "Invalid password: it must be longer", "nothing=here to see",
      '{"message":"no token"}', "retry: later", "the secret: not found", "http://host/a@b and user@host",
      "missing Bearer token.", "password: secretsecretsecretsecre", "password: short, or so",
    } do
      assert.equal(text, redact(text))
    end
  end)

  it("that hold or overlap each other leave nothing of themselves", function()
    for _, secrets in ipairs { { "abcd", "abcdefgh" }, { "abcdefgh", "abcd" }, { "abcdef", "efgh" } } do
      assert.equal("x [redacted].", redact("x abcdefgh.", secrets))
    end
    assert.equal("[redacted][redacted]-[redacted]", redact("abcdabcd-abcd", { "abcd" }))
    assert.equal("[redacted].", redact("aaaaa.", { "aaaa" }))
    assert.equal("x [redacted].", redact("x abcd.", { "abcd" }))
    assert.equal("[redacted]", redact("abcdefg", { "defg", "abcd" }))
    assert.equal("[redacted] x [redacted]", redact("abcd x efgh", { "efgh", "abcd" }))
    assert.equal("abc.", redact("abc.", { "abcd" }))
    assert.equal("[redacted] [redacted]", redact("abcdefgh abcd", { "abcd", "cdef", "efgh" }))
  end)

  it("are looked for in long texts without delay", function()
    for _, piece in ipairs { "a", "a:", "a: ", "token: ", '"a', '"token":"', "://", "bearer ", "a=", "\\" } do
      local before = os.clock()
      redact(piece:rep(20000), { "abcd" })
      assert.is_true(os.clock() - before < 2, piece)
    end
  end)

  it("shorter than four bytes are not hunted for", function()
    assert.equal("11 of 1 a", redact("11 of 1 a", { "1", "" }))
    assert.equal("x[redacted]x[redacted]", redact("x%d.+x%d.+", { "%d.+" }))
  end)
end)
