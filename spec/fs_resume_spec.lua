-- Transfers that are cut: they go on where they ended, if the file is the same, and never
-- make one of two versions of it.

local haste = require "spec.support.haste"
local compat = require "daytona.base.compat"
local daytona = require "daytona"
local loop = require "daytona.loop"
local pieces = require "daytona.toolbox.fs.pieces"

local files = require("spec.support.files").new()
local service, box, fs

local SIZE = 100003
local letters = {}
for i = 1, SIZE do letters[i] = string.char(32 + (i * i + i) % 95) end
local WHOLE = table.concat(letters)
local OTHER = WHOLE:reverse()

-- Long ago, so that it is known by its time.
local AT, DATE = "@1700000000", "Tue, 14 Nov 2023 22:13:20 GMT"

local function place(data, at)
  assert(fs:write("file", data))
  if at then assert(box:exec("touch -d " .. at .. " file", { check = true })) end
end

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() files:fresh() end)
after_each(function() files:sweep() end)

-- The answers to the next downloads: faults, one for each request.
local function answers(list)
  for i, fault in ipairs(list) do
    fault.path, fault.times, fault.after = "/files/download", 1, nil
    list[i] = fault
  end
  assert(service.server:clear_faults())
  assert(service.server:faults(list))
end

-- Chunks, put together; a result and an error.
local function to_function(opts)
  local chunks = {}
  local info, err = fs:download("file", function(chunk) chunks[#chunks + 1] = chunk end, opts)
  return table.concat(chunks), info, err
end

local function to_path(opts)
  local target = files:here "target"
  local info, err = fs:download("file", target, opts)
  return files.content(target), info, err
end

-- Behind what is in the file that `open` opens.
local function to_file(open)
  return function(opts)
    local target = files:here("target", "before")
    local file = open(target)
    local info, err = fs:download("file", file, opts)
    assert(file:write "after")
    file:close()
    local data = files.content(target):match "^before(.*)after$"
    return data, info, err
  end
end

local WAYS = {
  ["to a path"] = to_path, ["to a function"] = to_function,
  ["to an open file"] = to_file(function(target)
    local file = assert(io.open(target, "r+b"))
    file:read "*a"
    file:seek("cur", 0)
    return file
  end),
  ["to a file that is appended to"] = to_file(function(target) return assert(io.open(target, "ab")) end),
  ["to a pipe"] = to_file(function(target) return assert(io.popen("cat >>" .. target, "w")) end),
}

for name, fetch in pairs(WAYS) do
  describe("a download " .. name, function()
    it("goes on after every cut", function()
      place(WHOLE, AT)
      haste(function()
        for _, cut in ipairs { 1, 7, 4096, 65535, 65536, 65537, 99999, SIZE - 1 } do
          answers { { cut_after = cut }, { cut_after = 1, reset = "mid" }, { cut_after = 0 }, { cut_after = 13 } }
          local before = service:count("GET", "/files/download")
          local data, info, err = fetch()
          assert.is_nil(err, tostring(err))
          assert.is_true(data == WHOLE, "cut at " .. cut)
          assert.equal(SIZE, info.size)
          local n = service:count("GET", "/files/download") - before
          assert.is_true(n == 5 or cut > 99000, n .. " requests, cut at " .. cut)
        end
      end)
      assert.equal("", files:sh "ls -A | grep -v '^target$'")
    end)

    it("goes on as long as each try brings something", function()
      place(WHOLE, AT)
      answers {}
      assert(service.server:faults { { path = "/files/download", cut_after = 9000 } })
      local last = 0
      haste(function()
        local data = fetch { on_progress = function(done, total)
          assert.is_true(done >= last and done <= SIZE)
          assert.equal(SIZE, total)
          last = done
        end }
        assert.is_true(data == WHOLE)
      end)
      assert.equal(SIZE, last)
    end)

    it("ends when nothing comes any more", function()
      place(WHOLE, AT)
      answers { { cut_after = 5000 } }
      assert(service.server:faults { { path = "/files/download", cut_after = 0 } })
      haste(function()
        local _, info, err = fetch()
        assert.is_nil(info)
        assert.equal("connection truncated", err.kind .. " " .. err.code)
      end)
    end)

    it("takes what it lacks from a server that heeds no ranges", function()
      place(WHOLE, AT)
      answers { { cut_after = 5000 }, { status = 200, body = WHOLE, headers = { ["last-modified"] = DATE } } }
      haste(function() assert.is_true(fetch() == WHOLE) end)
    end)

    it("is of one version of the file", function()
      place(WHOLE, AT)
      -- What the second answer says, and what then is wrong.
      local lies = {
        { { ["last-modified"] = "Tue, 14 Nov 2023 22:13:21 GMT", ["content-range"] = "bytes 5000-100002/100003" } },
        { { ["last-modified"] = DATE, ["content-range"] = "bytes 5000-100003/100004" } },
        { { ["content-range"] = "bytes 5000-100002/100003" } },
        { { ["last-modified"] = DATE, ["content-range"] = "bytes 4999-100002/100003" }, "protocol" },
        { { ["last-modified"] = DATE }, "protocol" },
        { nil, status = 416 },
        { {}, status = 200 },
      }
      for i, lie in ipairs(lies) do
        answers { { cut_after = 5000 },
          { status = lie.status or 206, body = OTHER:sub(5001), headers = lie[1] } }
        haste(function()
          local data, info, err = fetch()
          if fetch == to_path and not lie[2] then
            assert.is_true(data == WHOLE, "lie " .. i) -- from its beginning
          else
            assert.is_nil(info, "lie " .. i)
            assert.equal(lie[2] or "conflict", err.kind, "lie " .. i)
            assert.is_true(fetch == to_path and data == nil or data == WHOLE:sub(1, 5000), "lie " .. i)
          end
        end)
        files:sweep()
        files:fresh()
      end
    end)

    it("of a file that was changed just before begins anew, or not at all", function()
      place(WHOLE)
      answers { { cut_after = 5000 } }
      haste(function()
        local data, _, err = fetch()
        if fetch == to_path then return assert.is_true(data == WHOLE) end
        assert.equal("truncated", err.code)
        assert.is_true(data == WHOLE:sub(1, 5000))
      end)
    end)

    it("is cut only once for a client that repeats nothing", function()
      place(WHOLE, AT)
      answers { { cut_after = 5000 } }
      local kept = fs
      fs = service:connect({ max_retries = 0 }):attach(box.id).fs
      local _, _, err = fetch()
      fs = kept
      assert.equal("truncated", err.code)
    end)

    it("keeps its limits over all tries", function()
      place(WHOLE, AT)
      answers { { cut_after = 5000 } }
      haste(function() assert.is_true(fetch { max_bytes = SIZE } == WHOLE) end)
      answers {}
      local _, _, err = fetch { max_bytes = SIZE - 1 }
      assert.equal("too_large", err.kind)
      assert(service.server:faults { { path = "/files/download", cut_after = 10 } })
      _, _, err = fetch { timeout = 0.5 }
      assert.truthy(err.kind == "connection" or err.kind == "timeout", tostring(err))
    end)
  end)
end

it("a file that is changed while it is on its way comes whole, in one version", function()
  place(WHOLE, AT)
  answers { { cut_after = 70000 } }
  local changed
  haste(function()
    local data, _, err = to_path { on_progress = function()
      if not changed then changed = assert(fs:write("file", OTHER)) end
    end }
    assert.is_nil(err, tostring(err))
    assert.is_true(data == OTHER)
  end)
end)

it("a file is read whole after a cut", function()
  place(WHOLE, AT)
  answers { { cut_after = 5000 }, { cut_after = 60000 } }
  haste(function()
    assert.is_true(assert(fs:read "file") == WHOLE)
    answers { { cut_after = 100 }, { cut_after = 100 } }
    assert.equal(WHOLE:sub(11, 2010), assert(fs:read("file", { offset = 10, length = 2000 })))
  end)
end)

describe("an upload", function()
  local relay, remote
  local large, part = pieces.LARGE, pieces.PART
  local OLD = "old\n"

  setup(function() pieces.LARGE, pieces.PART = 1000, 30000 end)
  teardown(function() pieces.LARGE, pieces.PART = large, part end)
  after_each(function()
    if relay then relay:close() end
    relay = nil
  end)
  before_each(function()
    remote = select(2, files:fresh())
    assert(fs:write(remote .. "/f", OLD))
  end)

  local function there() return files:there "cat f; find . -mindepth 1 ! -name f" end

  -- The sandbox behind a line that breaks after so many bytes, so often.
  local function behind(after, n)
    if relay then relay:close() end
    relay = require("spec.support.relay").start(box.toolbox_proxy_url:match ":(%d+)")
    local list = {}
    for i = 1, n do list[i] = after end
    relay:cut_sent((table.unpack or unpack)(list))
    local other = service.client:attach(box.id)
    other.toolbox_proxy_url = (box.toolbox_proxy_url:gsub(":%d+", relay.url:match ":%d+"))
    return other.fs
  end

  local SOURCES = {
    ["of a path"] = function() return files:here("source", WHOLE) end,
    ["of a string"] = function() return { data = WHOLE } end,
    ["of an open file"] = function()
      local file = io.open(files:here("source", "before" .. WHOLE), "rb")
      file:seek("set", 6)
      return file
    end,
  }

  for name, source_of in pairs(SOURCES) do
    it(name .. " goes on after a cut, wherever it is", function()
      local past = { SIZE - 1, SIZE + 100, SIZE + 400, SIZE + 700, SIZE + 1000, SIZE + 2000 } -- in the move, too
      for _, cut in ipairs { 2000, 30000, 65536, compat.unpack(past) } do
        haste(function()
          local last, broken = 0, behind(cut, 1)
          local info = assert(broken:upload(source_of(), remote .. "/f", { on_progress = function(done, total)
            assert.is_true(done <= total and total == SIZE)
            last = done
          end }))
          assert.equal(SIZE, info.size)
          assert.equal(SIZE, last)
          assert.equal(0, relay:cuts()) -- are left
          assert.is_true(there() == WHOLE, "cut at " .. cut)
        end)
      end
    end)
  end

  it("asks once more what arrived, where that is not answered", function()
    local broken = behind(65536, 1)
    assert(service.server:faults { { path = "/files/info", hold = 50, times = 1 } })
    local begun = loop.now()
    haste(function()
      assert(broken:upload({ data = WHOLE }, remote .. "/f", { idle_timeout = 0.5 }))
    end)
    assert.is_true(loop.now() - begun < 45)
    assert.is_true(there() == WHOLE)
  end)

  for _, status in ipairs { 413, 502 } do
    it("goes in parts where a proxy answers " .. status, function()
      assert(service.server:faults { { path = "/files/bulk-upload", status = status, times = 1 } })
      local before = service:count("POST", "/files/bulk-upload")
      haste(function() assert(fs:write(remote .. "/f", WHOLE)) end)
      assert.equal(5, service:count("POST", "/files/bulk-upload") - before)
      assert.is_true(there() == WHOLE)
    end)
  end

  it("that does not get on any more leaves the old file, and nothing else", function()
    haste(function()
      assert(service.server:faults {
        { path = "/files/bulk-upload", status = 502, times = 1 },
        { path = "/files/bulk-upload", status = 500, after = 1 },
      })
      local info, err = fs:upload(files:here("source", WHOLE), remote .. "/f")
      assert.is_nil(info)
      assert.equal("server upload " .. remote .. "/f", err.kind .. " " .. err.operation .. " " .. err.what)
    end)
    assert.equal(OLD, there())
  end)

  it("of a file that is changed meanwhile is a conflict", function()
    local path = files:here("source", WHOLE)
    assert(service.server:faults { { path = "/files/bulk-upload", status = 502, times = 1 } })
    haste(function()
      local function change() files:here("source", OTHER .. "x") end
      local _, err = fs:upload(path, remote .. "/f", { on_progress = change })
      assert.equal("conflict FILE_CHANGED", err.kind .. " " .. tostring(err.code))
    end)
    assert.equal(OLD, there())
  end)

  it("that is given up between its parts leaves nothing", function()
    assert(service.server:faults {
      { path = "/files/bulk-upload", status = 502, times = 1 }, { path = "/files/bulk-upload", hold = 20, after = 3 },
    })
    local path, far = files:here("source", WHOLE), false
    local task = daytona.spawn(function()
      return fs:upload(path, remote .. "/f", { on_progress = function(done) far = far or done > 70000 end })
    end)
    haste(function()
      while not far do assert(daytona.sleep(0.01)) end
      task:cancel()
      local _, err = task:wait()
      assert.equal("canceled", err.kind)
    end)
    assert.equal(OLD, there())
  end)

  it("whose last answer is lost is whole", function()
    for _, handled in ipairs { true, false } do
      assert(service.server:clear_faults())
      assert(service.server:faults {
        { path = "/files/bulk-upload", status = 502, times = 1 },
        { path = "/process/execute", drop = true, times = 1, handled = handled },
      })
      haste(function() assert(fs:write(remote .. "/f", WHOLE)) end)
      assert.is_true(there() == WHOLE)
    end
  end)

  -- The sandbox, where moving what was put together is this; and how many commands there were.
  local function moving(what)
    local other, count = service.client:attach(box.id), 0
    local exec = other.exec
    local prelude = 'mv() { case $2 in */all.*) ' .. what .. ' ;; esac; command mv "$@"; }\n'
    function other.exec(self, command, opts)
      count = count + 1
      return exec(self, prelude .. command, opts)
    end
    assert(service.server:faults { { path = "/files/bulk-upload", status = 502, times = 1 } })
    return other.fs, function() return count end
  end

  it("that takes longer to put together than a line holds is whole", function()
    local looks = pieces.LOOKS
    finally(function() pieces.LOOKS = looks end)
    pieces.LOOKS = 2
    local slow, commands = moving "sleep 0.6"
    assert(service.server:faults { { path = "/process/execute", drop = true, times = 2, handled = true } })
    haste(function() assert(slow:write(remote .. "/f", WHOLE)) end)
    assert.is_true(there() == WHOLE)
    assert.is_true(commands() > 3)
  end)

  it("of which what puts it together is killed is put together anew", function()
    local killed = moving "[ -e once ] || { : >once; kill -9 $(cat \"$from/pid\"); }"
    finally(function() box:exec "rm -f once" end)
    haste(function() assert(killed:write(remote .. "/f", WHOLE)) end)
    assert.is_true(there() == WHOLE)
  end)

  it("that cannot be put together says so, and leaves nothing", function()
    assert(service.server:faults {
      { path = "/files/bulk-upload", status = 502, times = 1 },
      { path = "/process/execute", status = 200, times = 1,
        body = '{"exitCode":1,"result":"head: write error: No space left on device\\n"}' },
    })
    haste(function()
      local _, err = fs:write(remote .. "/f", WHOLE)
      assert.equal("io FILE_NO_SPACE", err.kind .. " " .. tostring(err.code))
    end)
    assert.equal(OLD, there())
  end)
end)
