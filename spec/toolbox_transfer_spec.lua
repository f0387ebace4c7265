-- File contents into and out of a sandbox.

local toolbox = require "spec.support.toolbox"

describe("a file", function()
  local daemon
  setup(function() daemon = toolbox.start { signing_key = "testsigningkey1234567890abcdefgh" } end)
  teardown(function() daemon:stop() end)

  it("comes in bulk over a connection that ends with it, too", function()
    toolbox.write(daemon.dir .. "/b", "abc")
    local r = daemon:request("POST", "/files/bulk-download",
      { body = '{"paths":["b"]}', headers = { Connection = "close", ["Content-Type"] = "application/json" } })
    assert.is_nil(r.headers["transfer-encoding"])
    assert.matches("\r\n\r\nabc\r\n%-%-", r.body)
  end)

  local function get(path, headers, method)
    return daemon:request(method or "GET", "/files/download",
      { query = { path = path }, headers = headers })
  end

  -- Bytes that no text survives.
  local function noise(size)
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i * 7 % 256) end
    return table.concat(all):rep(math.ceil(size / 256)):sub(1, size)
  end

  it("is downloaded byte for byte, under its name", function()
    toolbox.write(daemon.dir .. "/\195\188 \226\130\172\".bin", noise(300000))
    local r = get "\195\188 \226\130\172\".bin"
    assert.are.equal(200, r.status)
    assert.are.equal(noise(300000), r.body)
    assert.are.equal("300000", r.headers["content-length"])
    assert.are.equal("application/octet-stream", r.headers["content-type"])
    assert.are.equal("bytes", r.headers["accept-ranges"])
    assert.are.equal("attachment; filename=\"\252 _\\\".bin\"; "
      .. "filename*=utf-8''%C3%BC%20%E2%82%AC%22.bin", r.headers["content-disposition"])
    assert.is_truthy(r.headers["last-modified"])
  end)

  it("is downloaded in ranges", function()
    toolbox.write(daemon.dir .. "/r", "0123456789")
    local function range(text)
      local r = get("r", { Range = text })
      return r.status, r.body, r.headers["content-range"]
    end
    assert.are.same({ 206, "234", "bytes 2-4/10" }, { range "bytes=2-4" })
    assert.are.same({ 206, "789", "bytes 7-9/10" }, { range "bytes=7-" })
    assert.are.same({ 206, "89", "bytes 8-9/10" }, { range "bytes=-2" })
    assert.are.same({ 206, "9", "bytes 9-9/10" }, { range "bytes=9-99" })
    local status, _, content_range = range "bytes=10-"
    assert.are.same({ 416, "bytes */10" }, { status, content_range })
    for _, nonsense in ipairs { "bytes=4-2", "lines=1-2" } do
      local body
      status, body, content_range = range(nonsense)
      assert.are.same({ 416, "invalid range\n" }, { status, body })
      assert.is_nil(content_range)
    end
    toolbox.write(daemon.dir .. "/empty", "")
    assert.are.equal(200, get("empty", { Range = "bytes=0-9" }).status)
    local modified = get("r").headers["last-modified"]
    assert.are.equal(206, get("r", { Range = "bytes=1-2", ["If-Range"] = modified }).status)
    assert.are.equal(200, get("r", { Range = "bytes=1-2",
      ["If-Range"] = "Thu, 01 Jan 1970 00:00:00 GMT" }).status)
  end)

  it("is not sent again when it has not changed, nor when only asked about", function()
    toolbox.write(daemon.dir .. "/c", "cached")
    local modified = get("c").headers["last-modified"]
    local r = get("c", { ["If-Modified-Since"] = modified })
    assert.are.same({ 304, "" }, { r.status, r.body })
    assert.is_nil(r.headers["accept-ranges"])
    assert.are.equal(200, get("c", { ["If-Modified-Since"] = "Thu, 01 Jan 1970 00:00:00 GMT" }).status)
    r = get("c", nil, "HEAD")
    assert.are.same({ 200, "6" }, { r.status, r.headers["content-length"] })
  end)

  it("must be there and be a file", function()
    local r = get "nope"
    assert.are.same({ 404, "FILE_NOT_FOUND" }, { r.status, r.json.code })
    r = get "."
    assert.are.same({ 400, "BAD_REQUEST" }, { r.status, r.json.code })
    daemon:exec "mkfifo pipe"
    assert.are.equal(400, get("pipe").status)
    toolbox.write(daemon.dir .. "/empty", "")
    r = get "empty"
    assert.are.same({ 200, "", "0" }, { r.status, r.body, r.headers["content-length"] })
  end)

  it("is uploaded as it is, or as a form", function()
    local r = daemon:request("POST", "/files/upload-v2", { query = { path = "new/dir/a b" }, body = noise(70000) })
    assert.are.same({ name = "a b", path = "new/dir/a b", type = "file" }, r.json)
    assert.are.equal(noise(70000), toolbox.read(daemon.dir .. "/new/dir/a b"))
    assert.are.equal("755\n", daemon:exec("stat -c %a new/dir").result)
    toolbox.write(daemon.scratch .. "/up", noise(2500000))
    r = daemon:request("POST", "/files/upload-v2",
      { query = { path = "form" }, form = { "other=x", "file=@" .. daemon.scratch .. "/up" } })
    assert.are.equal(200, r.status)
    assert.are.equal(noise(2500000), toolbox.read(daemon.dir .. "/form"))
    r = daemon:request("POST", "/files/upload",
      { query = { path = "form" }, form = { "file=short" } })
    assert.are.equal(200, r.status)
    assert.are.equal("short", toolbox.read(daemon.dir .. "/form"))
  end)

  it("is uploaded in chunks of unknown total", function()
    local r = daemon:request("POST", "/files/upload-v2",
      { query = { path = "chunked" }, body = noise(500000), headers = { ["Transfer-Encoding"] = "chunked" } })
    assert.are.equal(200, r.status)
    assert.are.equal(noise(500000), toolbox.read(daemon.dir .. "/chunked"))
  end)

  it("cannot be written everywhere", function()
    local r = daemon:request("POST", "/files/upload-v2", { query = { path = "new" }, body = "x" })
    assert.are.same({ 400, "BAD_REQUEST" }, { r.status, r.json.code })
    assert.are.equal(400, daemon:request("POST", "/files/upload-v2", { body = "x" }).status)
    r = daemon:request("POST", "/files/upload-v2", { query = { path = "x" }, form = { "other=x" } })
    assert.are.same({ 400, "BAD_REQUEST" }, { r.status, r.json.code })
  end)

  it("travels by a signed URL", function()
    local function signed(path, expires, signature, method)
      return daemon:request(method or "GET", "/files/download",
        { key = false, query = { path = path, expires = expires, signature = signature } })
    end
    local r = signed("/home/user/report.pdf", "0", "v1_lpj67Q-1iHxBviass5MZhGs36X80uk3DgCaRjjmyPrk")
    assert.are.equal("FILE_NOT_FOUND", r.json.code)
    r = signed("/path with spaces/f.txt", "1900000000", "v1_GynMaKcifGfdmrBJHusa_ucAXowjZ_g4KP6lcMJ4WXE", "HEAD")
    assert.are.equal(404, r.status)
    r = daemon:request("POST", "/files/upload-v2", { key = false, body = "x", query = {
      path = "/tmp/incoming/data.bin", expires = "1781234567",
      signature = "v1_CziiRdFkC9asB7q1mi0-fDvvwkpTxcI7yR8N35ht9Vw" } })
    local late = os.time() > 1781234567
    assert.are.equal(late and 401 or 200, r.status)
    if not late then os.remove "/tmp/incoming/data.bin" os.remove "/tmp/incoming" end
    for message, query in pairs {
      ["invalid signature"] = { "c", "0", "v1_wrong" },
      ["unsupported signature scheme"] = { "c", "0", "v2_x" },
      ["signature is expired"] = { "c", "1", "v1_x" },
      ["invalid expires query parameter"] = { "c", "-1", "v1_x" },
    } do
      r = signed(query[1], query[2], query[3])
      assert.are.equal(401, r.status)
      assert.is_truthy(r.json.message:find(message, 1, true), r.json.message)
    end
    assert.are.equal(401, daemon:request("GET", "/files",
      { key = false, query = { path = "c", expires = "0", signature = "v1_x" } }).status)
  end)
end)

describe("many files", function()
  local daemon
  setup(function() daemon = toolbox.start() end)
  teardown(function() daemon:stop() end)

  it("are downloaded in one answer, in order, each with its own error", function()
    daemon:exec "mkdir d; printf 'one\\r\\n--DAYTONA-FILE-BOUNDARY' > 'a \"1\".txt'; : > e"
    local r = daemon:post("/files/bulk-download", { paths = { "a \"1\".txt", "e", "no\195\188", "d", "" } })
    assert.are.equal(200, r.status)
    assert.are.equal("multipart/form-data; boundary=DAYTONA-FILE-BOUNDARY", r.headers["content-type"])
    local function part(headers, body)
      return "--DAYTONA-FILE-BOUNDARY\r\nContent-Disposition: form-data; " .. headers .. "\r\n\r\n" .. body .. "\r\n"
    end
    local expected = part('name="file"; filename="a \\"1\\".txt"; filename*=utf-8\'\'a%20%221%22.txt\r\n'
        .. "Content-Length: 28\r\nContent-Type: text/plain; charset=utf-8", "one\r\n--DAYTONA-FILE-BOUNDARY")
      .. part('name="file"; filename="e"; filename*=utf-8\'\'e\r\n'
        .. "Content-Length: 0\r\nContent-Type: application/octet-stream", "")
    assert.are.equal(expected, r.body:sub(1, #expected))
    local codes = {}
    for code in r.body:gmatch '"code":"([%w_]+)"' do codes[#codes + 1] = code end
    assert.are.same({ "FILE_NOT_FOUND", "INVALID_FILE_PATH", "INVALID_FILE_PATH" }, codes)
    assert.is_truthy(r.body:find("filename=\"no\252\"; filename*=utf-8''no%C3%BC\r\n"
      .. "Content-Type: application/json; charset=utf-8\r\n\r\n{", 1, true))
    assert.are.equal("\r\n--DAYTONA-FILE-BOUNDARY--\r\n", r.body:sub(-29))
  end)

  it("must be asked for by a list of paths", function()
    for _, body in ipairs { "{}", "[]", "", '{"paths":[]}', '{"paths":[1]}', '{"paths":"a"}' } do
      local r = daemon:request("POST", "/files/bulk-download", { body = body })
      assert.are.equal(400, r.status, body)
    end
  end)

  it("are uploaded in one request", function()
    toolbox.write(daemon.scratch .. "/up", ("0123456789"):rep(200000))
    local r = daemon:request("POST", "/files/bulk-upload", { form = {
      "files[0].path= in/a b.txt ", "files[0].file=@" .. daemon.scratch .. "/up;filename=\"x\\\"y\"",
      "note=ignored", "files[z].path=c", "files[z].file=short",
    } })
    assert.are.equal(200, r.status)
    assert.are.same({ { path = "in/a b.txt", bytes = 2000000 }, { path = "c", bytes = 5 } }, r.json.files)
    assert.are.equal(("0123456789"):rep(200000), toolbox.read(daemon.dir .. "/in/a b.txt"))
    assert.are.equal("short", toolbox.read(daemon.dir .. "/c"))
  end)

  it("are uploaded as far as possible", function()
    local r = daemon:request("POST", "/files/bulk-upload", { form = {
      "files[0].path=/proc/no/x", "files[0].file=1", "files[1].path=fine", "files[1].file=2",
      "files[2].path= ", "files[3].file=3",
    } })
    assert.are.equal(400, r.status)
    assert.are.same({ { path = "fine", bytes = 1 } }, r.json.files)
    assert.are.equal(3, #r.json.errors)
    assert.is_truthy(r.json.errors[1]:find "^/proc/no/x: mkdir /proc/no: ")
    assert.are.equal("path[2]: empty path", r.json.errors[2])
    assert.are.equal("file[3]: missing .path metadata", r.json.errors[3])
  end)

  it("are no files when the form is broken", function()
    local r = daemon:request("POST", "/files/bulk-upload", { body = "x" })
    assert.are.same({ 400, "BAD_REQUEST" }, { r.status, r.json.code })
    r = daemon:request("POST", "/files/bulk-upload", { form = { "other=1" } })
    assert.are.equal('{"files":null}', r.body)
    r = daemon:request("POST", "/files/bulk-upload", {
      headers = { ["Content-Type"] = "multipart/form-data; boundary=b" },
      body = '--b\r\nContent-Disposition: form-data; name="files[0].path"\r\n\r\ncut\r\n'
        .. '--b\r\nContent-Disposition: form-data; name="files[0].file"\r\n\r\nhalf',
    })
    assert.are.equal(400, r.status)
    assert.is_truthy(r.json.errors[1]:find("reading part", 1, true))
  end)
end)

describe("a form, however it is cut", function()
  it("is read the same", function()
    local driver = [[
      package.path = "./lua/?.lua;" .. package.path
      local ffi = require "ffi"
      local multipart = require "daytona.devserver.toolbox.multipart"
      local text = 'preamble\r\n--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B not'
        .. '\r\n--B\r\nContent-Disposition: form-data; name="b\\"\\\\c"; filename=f\r\nX: y\r\n\r\n\r\n--B--\r\n'
      for size = 1, #text do
        local at, seen = 0, {}
        local function read(to, max)
          local n = math.min(size, max, #text - at)
          ffi.copy(to, text:sub(at + 1), n)
          at = at + n
          return n
        end
        local ok, err = multipart.parse(read, "B", function(part)
          local pieces = { part.name, "=" }
          return function(data, n)
            if data then pieces[#pieces + 1] = ffi.string(data, n)
            else seen[#seen + 1] = table.concat(pieces) end
          end
        end)
        assert(ok, err)
        assert(table.concat(seen, ";") == 'a=1\r\n--B not;b"\\c=', table.concat(seen, ";"))
      end
      local function cut() return 0 end
      assert(multipart.parse(cut, "B", error) == nil)
      print "same"]]
    local path = os.tmpname()
    toolbox.write(path, driver)
    assert.are.equal("same\n", toolbox.sh("luajit " .. path .. " 2>&1"))
    os.remove(path)
  end)
end)
