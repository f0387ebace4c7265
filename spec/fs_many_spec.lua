-- Many files of a sandbox of the local server in one request.

local files = require("spec.support.files").new()
local service, box, fs, folder

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() folder = files:fresh() end)
after_each(function() files:sweep() end)

local content = files.content
local function here(name, data) return files:here(name, data) end
local function listing() return files:listing() end

local BYTES = ("\0\1\r\n--\255é"):rep(30000)

describe("uploading many", function()
  it("takes every source, in one request", function()
    local before = service:count("POST", "/files/bulk-upload")
    local handle = assert(io.open(here("h", "skip+rest"), "rb"))
    handle:seek("set", 5)
    local parts = { "f1", "f2" }
    local done
    local results = assert(fs:upload_many({
      { here("a", BYTES), "m/a" }, { { data = "text" }, "m/b" }, { handle, "m/c" }, { here("e", ""), "m/e" },
      { function() return table.remove(parts, 1) end, "m/d" },
    }, { on_progress = function(d) done = d end }))
    handle:close()
    assert.equal(before + 1, service:count("POST", "/files/bulk-upload"))
    local sizes = {}
    for i, result in ipairs(results) do sizes[i] = result.path .. " " .. result.size end
    assert.same({ "m/a 270000", "m/b 4", "m/c 4", "m/e 0", "m/d 4" }, sizes)
    assert.equal(BYTES, assert(fs:read "m/a"))
    assert.equal("rest", assert(fs:read "m/c"))
    assert.equal("f1f2", assert(fs:read "m/d"))
    assert.is_true(done > #BYTES)
  end)

  it("takes more files than there are descriptors, and any name", function()
    local list, path = {}, here("one", "1")
    for i = 1, 1500 do list[i] = { path, "n/" .. i } end
    for _, name in ipairs { "two words", "qu'o\"te", "new\nline", "Grüße ☺", ("x"):rep(255), " around " } do
      list[#list + 1] = { path, "n/" .. name }
    end
    assert.equal(#list, #assert(fs:upload_many(list)))
    assert.equal(#list, #assert(fs:list "n"))
    assert.equal("1", assert(fs:read "n/new\nline"))
    assert.equal("1", assert(fs:read "n/ around "))
  end)

  it("says of each whether it failed, and why", function()
    assert(fs:write("plain", "x"))
    local results, err = fs:upload_many {
      { { data = "1" }, "p/1" }, { { data = "2" }, "plain/2" }, { folder .. "/none", "p/3" }, { { data = "4" }, "p/4" },
    }
    assert.is_nil(results)
    assert.truthy(err.message:find("2 of 4 files failed", 1, true))
    local outcome = {}
    for i, result in ipairs(err.results) do outcome[i] = result.error and result.error.kind or result.size end
    assert.same({ 1, "invalid", "io", 1 }, outcome)
    assert.equal("4", assert(fs:read "p/4"))
  end)

  it("fails when a file becomes shorter meanwhile, or the connection ends", function()
    local path = here("s", ("x"):rep(1000000))
    local results, err = fs:upload_many {
      { function() io.open(path, "wb"):close() end, "q/1" }, { path, "q/2" },
    }
    assert.is_nil(results)
    assert.equal("io", err.kind)
    assert(service.server:faults { { path = "/files/bulk-upload", drop = true } })
    results, err = fs:upload_many { { { data = "1" }, "q/1" } }
    assert.is_nil(results)
    assert.equal("connection", err.kind)
  end)

  it("of nothing is nothing", function()
    assert.same({}, assert(fs:upload_many {}))
    assert.same({}, assert(fs:download_many {}))
  end)

  it("is refused where it makes no sense", function()
    for _, call in ipairs {
      function() fs:upload_many() end, function() fs:upload_many { "a" } end, function() fs:upload_many { { "a" } } end,
      function() fs:upload_many { { "a", "b/" } } end, function() fs:upload_many { { 1, "b" } } end,
      function() fs:upload_many({}, { nope = 1 }) end, function() fs:upload_many { path = "x" } end,
      function() fs:download_many { {} } end, function() fs:download_many { { "a", 1 } } end,
    } do assert.has_error(call) end
  end)
end)

describe("downloading many", function()
  local NAMES = { "two words", "qu'o\"te", "new\nline", "Grüße ☺", "latin \233", "100%", "..x" }

  setup(function()
    local list = { { { data = BYTES }, "d/big" }, { { data = "--DAYTONA-FILE-BOUNDARY\r\n" }, "d/trap" },
      { { data = "" }, "d/empty" } }
    for _, name in ipairs(NAMES) do list[#list + 1] = { { data = name }, "d/" .. name } end
    assert(box.fs:upload_many(list))
  end)

  it("gives contents, in order", function()
    local list = { "d/empty", "d/big", "d/trap", "d/empty" }
    for _, name in ipairs(NAMES) do list[#list + 1] = "d/" .. name end
    local results = assert(fs:download_many(list))
    assert.equal("", results[1].data)
    assert.equal(BYTES, results[2].data)
    assert.equal("--DAYTONA-FILE-BOUNDARY\r\n", results[3].data)
    for i, name in ipairs(NAMES) do assert.equal(name, results[i + 4].data) end
  end)

  it("takes every target", function()
    local handle, chunks = assert(io.open(here "h", "w+b")), {}
    local results = assert(fs:download_many {
      { "d/big", here "b" }, { "d/trap", folder }, { "d/100%", handle },
      { "d/big", function(chunk) chunks[#chunks + 1] = chunk end },
    })
    handle:close()
    assert.equal(here "trap", results[2].saved_as)
    assert.equal(BYTES, content(here "b"))
    assert.equal(BYTES, table.concat(chunks))
    assert.equal("100%", content(here "h"))
    assert.equal("b\nh\ntrap\n", listing())
  end)

  it("says of each whether it failed, and why", function()
    local results, err = fs:download_many {
      { "d/big", here "b" }, { "d/none", here "n" }, { "d", here "d" }, { "d/empty", folder .. "/no/where" }, "d/100%",
      { "d/big", function() return false, "enough" end },
    }
    assert.is_nil(results)
    local outcome = {}
    for i, result in ipairs(err.results) do
      outcome[i] = result.error and result.error.kind .. " " .. tostring(result.error.code) or result.size
    end
    assert.same({ 270000, "not_found FILE_NOT_FOUND", "invalid INVALID_FILE_PATH", "io nil", 4, "io nil" }, outcome)
    assert.equal("b\n", listing())
  end)

  it("that is cut asks for what did not arrive", function()
    assert(service.server:faults { { path = "/files/bulk-download", cut_after = 300 } })
    local given = {}
    local _, err = fs:download_many {
      "d/100%", { "d/big", here "2" }, "d/100%", { "d/big", function(chunk) given[#given + 1] = chunk end }, "d/empty",
    }
    local outcome = {}
    for i, result in ipairs(err.results) do outcome[i] = result.error and result.error.code or result.size end
    assert.same({ 4, 270000, 4, "truncated", 0 }, outcome)
    assert.equal(270000, #content(here "2"))
    assert.is_true(#table.concat(given) < 300)
  end)

  it("that is cut, by a client that repeats nothing, fails what did not arrive, and nothing else", function()
    assert(service.server:faults { { path = "/files/bulk-download", cut_after = 300 } })
    local results, err = service:connect({ max_retries = 0 }):attach(fs.sandbox.id).fs:download_many {
      { "d/100%", here "1" }, { "d/big", here "2" }, { "d/100%", here "3" },
    }
    assert.is_nil(results)
    assert.equal(4, err.results[1].size)
    assert.equal("connection", err.results[2].error.kind)
    assert.equal("connection", err.results[3].error.kind)
    assert.equal("1\n", listing())
  end)

  it("of too much for memory says so", function()
    local _, err = fs:download_many({ "d/100%", "d/big" }, { max_bytes = 1000 })
    assert.equal("100%", err.results[1].data)
    assert.equal("too_large", err.results[2].error.kind)
  end)

  it("onto a full disk leaves no half file", function()
    local full = io.open("/dev/full", "wb")
    if not full then return pending "there is no /dev/full here" end
    local _, err = fs:download_many { { "d/big", full }, "d/100%" }
    full:close()
    assert.equal("io", err.results[1].error.kind)
    assert.equal("100%", err.results[2].data)
  end)
end)

describe("an answer with many files", function()
  local peer

  setup(function() peer = require("spec.support.scripted_daemon").start() end)
  teardown(function() peer:close() end)

  local TYPE = "multipart/form-data; boundary=B"

  local function part(kind, headers, body)
    return ('--B\r\nContent-Disposition: form-data; name="%s"; filename="../../x"\r\n%s\r\n%s\r\n'):format(kind,
      headers, body)
  end

  -- What becomes of two files when this is the answer: sizes or kinds of errors.
  local function outcome(body, content_type)
    local sandbox = peer:sandbox({
      ["/files/bulk-download"] = { { "status", 200, body, content_type or TYPE } },
      ["/files/download"] = { { "status", 200, "again" } },
    })
    local results, err = sandbox.fs:download_many { { "one", here "1" }, "two" }
    if not results and not err.results then return err.kind end
    local list = {}
    for i, result in ipairs(results or err.results) do
      list[i] = result.error and result.error.kind .. " " .. tostring(result.error.code) or result.size
    end
    return list
  end

  it("is matched by its order, whatever names are in it", function()
    local second = part("file", "Content-Length: 4\r\n", "abcd")
    assert.same({ 3, 4 }, outcome(part("file", "", "abc") .. second .. "--B--\r\n"))
    assert.equal("abc", content(here "1"))
    assert.equal("1\n", listing())
  end)

  it("that ends before its closing boundary lacks the last file", function()
    assert.same({ 3, "connection truncated" },
      outcome(part("file", "", "abc") .. part("file", "", "abcd"):gsub("\r\n$", "")))
    assert.equal("1\n", listing())
    assert.equal("connection", outcome(part("file", "Content-Length: 30\r\n", "abc")))
    assert.equal("connection", outcome(part("file", "", "abc"):sub(1, -3)))
  end)

  it("that has more, or fewer, parts than were asked for is not believed", function()
    assert.same({ 3, "protocol nil" }, outcome(part("file", "", "abc") .. "--B--\r\n"))
    assert.same({ 3, 3 }, outcome(part("file", "", "abc"):rep(3) .. "--B--\r\n")) -- two came
  end)

  it("may tell of failures in every form there has been", function()
    local function failing(headers, body)
      return outcome(part("error", headers, body) .. part("file", "", "x") .. "--B--\r\n")
    end
    local json_type = "Content-Type: application/json; charset=utf-8\r\n"
    assert.same({ "forbidden FILE_ACCESS_DENIED", 1 },
      failing(json_type, '{"statusCode":403,"message":"permission denied: one","code":"FILE_ACCESS_DENIED"}'))
    assert.same({ "not_found FILE_NOT_FOUND", 1 },
      failing(json_type, '{"statusCode":404,"message":"file not found: one","error_code":"FILE_NOT_FOUND"}'))
    assert.same({ "not_found nil", 1 }, failing("", "file not found: one"))
    assert.same({ "forbidden nil", 1 }, failing("", "permission denied: one"))
    assert.equal("", listing())
  end)

  it("in which a file has grown is asked for that file again; in one that has shrunk the rest is lost", function()
    local first = part("file", "Content-Length: 1\r\n", "grown")
    assert.same({ 5, 1 }, outcome(first .. part("file", "", "x") .. "--B--\r\n"))
    assert.equal("again", content(here "1"))
    assert.same({ 5, "connection truncated" },
      outcome(first .. part("file", "Content-Length: 9\r\n", "shrunk") .. "--B--\r\n"))
  end)

  it("that is something else is an error of the protocol", function()
    assert.equal("protocol", outcome("<html>", "text/html"))
    assert.equal("protocol", outcome("", TYPE))
    assert.equal("protocol", outcome("{}", "multipart/form-data"))
  end)
end)
