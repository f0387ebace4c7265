-- Logs and multipart bodies taken apart as they arrive; digests and base64.

local core = require "daytona.base.native"

describe("a session log", function()
  -- Feeds the chunks; what each stream said, and all runs in order.
  local function demultiplex(chunks, keep)
    local demux, into = core.demux(keep), {}
    local streams, runs = { [0] = "", "", "" }, {}
    local function take(n)
      for i = 1, n, 2 do
        streams[into[i]] = streams[into[i]] .. into[i + 1]
        runs[#runs + 1] = into[i] .. into[i + 1]
      end
    end
    for _, chunk in ipairs(chunks) do take(demux:feed(chunk, into)) end
    take(demux:finish(into))
    return streams, runs
  end

  it("comes apart into its two streams, wherever it is cut", function()
    local log = "\1\1\1a\n\1\1\1b\n\2\2\2e\n"
    for i = 0, #log do
      for j = i, #log do
        local streams = demultiplex { log:sub(1, i), log:sub(i + 1, j), log:sub(j + 1) }
        assert.equal("a\nb\n", streams[1])
        assert.equal("e\n", streams[2])
      end
    end
    local streams = demultiplex { "\1", "\1\1a\n\1\1", "\1b\n\2", "\2\2e\n" }
    assert.same({ [0] = "", "a\nb\n", "e\n" }, streams)
  end)

  it("keeps order, joins neighbours, and is exact to the byte", function()
    local _, runs = demultiplex { "\1\1\1a\n\1\1\1b\n\2\2\2e\n\1\1\1c\n" }
    assert.same({ "1a\nb\n", "2e\n", "1c\n" }, runs)
    assert.equal("\195\169\n", demultiplex({ "\1\1\1\195", "\169\n" })[1])
    assert.equal("a\n\1", demultiplex({ "\1\1\1a\n\1" })[1])
    assert.equal("\0\255\1\2\2x", demultiplex({ "\1\1\1\0\255\1\2\2", "x" })[1])
  end)

  it("drops what stands before the first prefix, unless asked", function()
    assert.same({ [0] = "", "a", "" }, demultiplex { "lost\1\1\1a" })
    assert.same({ [0] = "kept", "a", "" }, demultiplex({ "ke", "pt\1\1\1a" }, true))
  end)

  it("shows a prompt without newline at once", function()
    local demux, into = core.demux(), {}
    assert.equal(2, demux:feed("\1\1\1password: ", into))
    assert.equal("password: ", into[2])
    assert.equal(0, demux:feed("", into))
  end)
end)

describe("a bulk answer", function()
  local TYPE = "multipart/form-data; boundary=DAYTONA-FILE-BOUNDARY"
  local BODY = table.concat({
    "--DAYTONA-FILE-BOUNDARY",
    'Content-Disposition: form-data; name="file"; filename="a_.txt"; filename*=utf-8\'\'a%E2%82%AC.txt',
    "Content-Length: 4",
    "Content-Type: text/plain",
    "",
    "ab\r\n",
    "--DAYTONA-FILE-BOUNDARY",
    'Content-Disposition: form-data; name="error"; filename="\233"',
    "Content-Type: application/json; charset=utf-8",
    "",
    '{"statusCode":404}',
    "--DAYTONA-FILE-BOUNDARY--",
    "",
  }, "\r\n")

  local function read(chunks)
    local reader, into, parts = assert(core.multipart(TYPE)), {}, {}
    local ended
    for _, chunk in ipairs(chunks) do
      local n, code = reader:feed(chunk, into)
      for i = 1, n, 2 do
        local what, value = into[i], into[i + 1]
        if what == "part" then
          value.data = ""
          parts[#parts + 1] = value
        elseif what == "data" then
          parts[#parts].data = parts[#parts].data .. value
        elseif what == "part_end" then
          parts[#parts].exact = value
        else
          ended = value
        end
      end
      if code then return parts, code end
    end
    local ok, code, message = reader:finish()
    assert.equal(ended, ok)
    reader:close()
    return parts, code, message
  end

  it("is read wherever it is cut", function()
    for i = 0, #BODY do
      local parts, code = read { BODY:sub(1, i), BODY:sub(i + 1) }
      assert.is_nil(code)
      assert.same({
        { name = "file", filename = "a\226\130\172.txt", type = "text/plain", length = 4,
          data = "ab\r\n", exact = true },
        { name = "error", filename = "\195\169", type = "application/json; charset=utf-8",
          data = '{"statusCode":404}', exact = true },
      }, parts)
    end
  end)

  it("that ends before its closing boundary is no answer", function()
    for _, length in ipairs { 0, 10, 300, #BODY - 5 } do
      local _, code, message = read { BODY:sub(1, length) }
      assert.equal("truncated", code)
      assert.matches("closing boundary", message)
    end
  end)

  it("tells of a file that changed while it was sent", function()
    local parts = read { (BODY:gsub("Content%-Length: 4", "Content-Length: 2")) }
    assert.is_false(parts[1].exact)
  end)

  it("cannot be misled", function()
    local reader, code = core.multipart "application/json"
    assert.is_nil(reader)
    assert.equal("protocol", code)
    assert.equal("protocol", (select(2, read { "--DAYTONA-FILE-BOUNDARY\r\nno header\r\n\r\n" })))
    local endless = "--DAYTONA-FILE-BOUNDARY\r\nA: " .. ("x"):rep(100000)
    assert.equal("too_large", (select(2, read { endless })))
    reader = core.multipart(TYPE)
    reader:close()
    assert.has_error(function() reader:feed("", {}) end)
  end)
end)

describe("digests", function()
  it("are those of the published vectors", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      core.hex(core.sha256 ""))
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      core.hex(core.sha256 "abc"))
    assert.equal("f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
      core.hex(core.hmac_sha256("key", "The quick brown fox jumps over the lazy dog")))
    assert.equal(32, #core.hmac_sha256("", ""))
  end)

  it("sign file URLs as the service does", function()
    local key = "testsigningkey1234567890abcdefgh"
    local vectors = {
      { "GET:/home/user/report.pdf:1781234567", "QXoy36mypac2FAv33L7jnN44GEUx8KrdwT0vuKgKiQg" },
      { "GET:/home/user/report.pdf:0", "lpj67Q-1iHxBviass5MZhGs36X80uk3DgCaRjjmyPrk" },
      { "POST:/tmp/incoming/data.bin:1781234567", "CziiRdFkC9asB7q1mi0-fDvvwkpTxcI7yR8N35ht9Vw" },
      { "GET:/path with spaces/f.txt:1900000000", "GynMaKcifGfdmrBJHusa_ucAXowjZ_g4KP6lcMJ4WXE" },
    }
    for _, vector in ipairs(vectors) do
      local digest = core.hmac_sha256(key, "v1:files:" .. vector[1])
      assert.equal(vector[2], core.base64(digest, true))
    end
  end)

  it("are made in pieces, of strings and of files", function()
    local text = ("0123456789abcdef"):rep(20000)
    local want = core.sha256(text)
    assert.equal(want, core.hash():update(text:sub(1, 99)):update(text:sub(100)):finish())
    local path = os.tmpname()
    local file = assert(io.open(path, "w+b"))
    os.remove(path)
    file:write(text)
    file:seek "set"
    local hash = core.hash()
    assert.equal(100000, hash:read(file, 100000))
    assert.equal(220000, hash:read(file))
    assert.equal(0, hash:read(file, 10))
    assert.equal(want, hash:finish())
    assert.has_error(function() hash:update "x" end)
    file:close()
    assert.has_error(function() core.hash():read(file) end)
  end)

  it("say when a file cannot be read", function()
    local folder = assert(io.open("/", "rb"))
    local n, message = core.hash():read(folder)
    assert.is_nil(n)
    assert.matches("directory", message)
    folder:close()
  end)
end)

describe("base64", function()
  it("goes both ways in both alphabets", function()
    for length = 0, 300 do
      local bytes = {}
      for i = 1, length do bytes[i] = string.char((i * 37 + length) % 256) end
      local data = table.concat(bytes)
      assert.equal(data, core.unbase64(core.base64(data)))
      assert.equal(data, core.unbase64(core.base64(data, true)))
    end
    assert.equal("+/8=", core.base64 "\251\255")
    assert.equal("-_8", core.base64("\251\255", true))
    assert.equal("", core.base64 "")
  end)

  it("refuses what is malformed", function()
    for _, text in ipairs { "Z", "Zm9v!", "Zg=", "Zg===", "Zh==", "Z g=", "\0\0\0\0" } do
      assert.is_nil(core.unbase64(text))
    end
  end)
end)
