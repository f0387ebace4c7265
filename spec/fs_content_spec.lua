-- Looking into files of a sandbox of the local server, and files as io.open
-- gives them.

local daytona = require "daytona"

local files = require("spec.support.files").new()
local service, box, fs

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() assert(service.server:clear_faults()) end)

describe("grep", function()
  it("finds lines as they stand, in files and folders", function()
    assert(fs:write("g/a.txt", "one\ntwo.*\nthree\n"))
    assert(fs:write("g/d/b.txt", "two.* again"))
    local found = assert(fs:grep("g", "two.*"))
    assert.equal(2, #found)
    assert.equal(2, found[1].line)
    assert.equal("two.*", found[1].content)
    assert.truthy(found[2].file:find("g/d/b.txt", 1, true))
    assert.same({}, assert(fs:grep("g/a.txt", "none")))
    local _, err = fs:grep("nowhere", "x")
    assert.equal("not_found", err.kind)
  end)
end)

describe("glob", function()
  it("finds names, in order", function()
    for _, name in ipairs { "z.c", "a.c", "d/b.c", "d/c.h" } do assert(fs:write("n/" .. name, "")) end
    local found = assert(fs:glob("n", "*.c"))
    for i, path in ipairs(found) do found[i] = path:match "n/.*" end
    assert.same({ "n/a.c", "n/d/b.c", "n/z.c" }, found)
    assert.same({}, assert(fs:glob("n", "*.x")))
    local _, err = fs:glob("nowhere", "*")
    assert.equal("not_found", err.kind)
  end)
end)

describe("replace", function()
  it("changes all files, and says which could not be", function()
    assert(fs:write("r1", "a.b a.b axb"))
    assert.same({ { path = "r1" } }, assert(fs:replace("r1", "a.b", "%1")))
    assert.equal("%1 %1 axb", assert(fs:read "r1"))
    local results, err = fs:replace({ "none", "r1" }, "%1", "")
    assert.is_nil(results)
    assert.equal("not_found", err.kind)
    assert.equal("none", err.results[1].error.what)
    assert.is_nil(err.results[2].error)
    assert.equal("  axb", assert(fs:read "r1"))
    assert.same({}, assert(fs:replace({}, "a", "b")))
  end)
end)

describe("tail", function()
  it("is the last lines, or bytes", function()
    local lines = {}
    for i = 1, 20000 do lines[i] = "line " .. i end
    assert(fs:write("t", table.concat(lines, "\n") .. "\n"))
    assert.equal("line 19999\nline 20000\n", assert(fs:tail("t", { lines = 2 })))
    assert.equal(table.concat(lines, "\n", 19991) .. "\n", assert(fs:tail "t"))
    assert.equal(table.concat(lines, "\n", 5001) .. "\n", assert(fs:tail("t", { lines = 15000 })))
    assert.equal(table.concat(lines, "\n") .. "\n", assert(fs:tail("t", { lines = 30000 })))
    assert.equal("0\n", assert(fs:tail("t", { bytes = 2 })))
    assert.equal("", assert(fs:tail("t", { lines = 0 })))
    assert(fs:write("t1", "no end\nof line"))
    assert.equal("of line", assert(fs:tail("t1", { lines = 1 })))
    assert(fs:write("t0", ""))
    assert.equal("", assert(fs:tail "t0"))
    local _, err = fs:tail "none"
    assert.equal("not_found", err.kind)
  end)

  it("follows what is added, and what is written anew", function()
    assert(fs:write("log", "a\n"))
    local seen = {}
    local more = { "printf 'b\\n' >>log", "printf 'cc\\n' >>log", "printf x >log" }
    assert.is_true(assert(fs:tail("log", { lines = 1, follow = function(text)
      seen[#seen + 1] = text
      local command = table.remove(more, 1)
      if not command then return false end
      assert(box:exec(command, { check = true }))
    end })))
    assert.same({ "a\n", "b\n", "cc\n", "x" }, seen)
  end)
end)

describe("an open file", function()
  it("is read as io reads", function()
    local text = "first\nsecond\r\n\n 0x1F -2.5e1 rest\nlast"
    assert(fs:write("io", text))
    local name = os.tmpname()
    local wanted = assert(io.open(name, "w+b"))
    wanted:write(text)
    wanted:seek("set", 0)
    local file = assert(fs:open "io")
    for _, format in ipairs { "*l", 8, "*l", "*n", "*n", 3, 0, "*l", 100, 0, 1, "*l", "*a", "*a" } do
      assert.equal((wanted:read(format)), (file:read(format)), tostring(format))
    end
    assert.equal(6, file:seek("set", 6))
    assert.same({ "sec", "ond\r" }, { file:read(3, "*l") })
    assert.equal(#text - 4, file:seek("end", -4))
    assert.equal("last", file:read())
    file:seek("set", 6)
    assert.equal("second\r\n", file:read "L")
    wanted:close()
    os.remove(name)
    assert(file:close())
    assert.has_error(function() file:read() end)
    assert.equal("file (closed)", tostring(file))
  end)

  it("gives lines across what it fetches, without fetching a byte twice", function()
    local lines = {}
    for i = 1, 30000 do lines[i] = ("%08d"):format(i) end
    assert(fs:write("big", table.concat(lines, "\n")))
    local before, n = service:count("GET", "/files/download"), 0
    local file = assert(fs:open "big")
    for line in file:lines() do
      n = n + 1
      assert.equal(lines[n], line)
    end
    assert(file:close())
    assert.equal(30000, n)
    assert.is_true(service:count("GET", "/files/download") - before <= 5)
  end)

  it("is read by several tasks, each of which gets lines that the others do not", function()
    local lines = {}
    for i = 1, 20000 do lines[i] = ("%d\n"):format(i) end
    assert(fs:write("shared", table.concat(lines)))
    local file, seen, count = assert(fs:open "shared"), {}, 0
    local function reader()
      for _ = 1, 20000 do
        local line = file:read()
        if not line then return true end
        assert.is_nil(seen[line])
        seen[line], count = true, count + 1
      end
    end
    assert(daytona.gather { reader, reader, reader })
    assert.equal(20000, count)
    file:close()
  end)

  it("is read to its end only if that is not more than the client allows", function()
    assert(fs:write("big", ("0123456789"):rep(20000)))
    local small = assert(daytona.new { api_url = service.server.api_url, api_key = service.server.api_key,
                                          max_bytes = 150000 })
    local file = assert(assert(small:get(box.id)).fs:open "big")
    local text, err = file:read "a"
    assert.is_nil(text)
    assert.equal("too_large too_large read", err.kind .. " " .. err.code .. " " .. err.operation)
    assert.equal("0123456789", file:read(10))
    file:seek("set", 60000)
    assert.equal(140000, #assert(file:read "a"))
    assert.equal("", file:read "a")
  end)

  it("is waited for no longer than it should be, and then read on", function()
    assert(fs:write("late", "1\n2\n"))
    local file = assert(fs:open "late")
    assert(service.server:faults { { path = "/files/download", hold = 60, times = 1 } })
    local line, err = file:read("l", { timeout = 0.1 })
    assert.is_nil(line)
    assert.same({ "timeout", "read", "late" }, { err.kind, err.operation, err.what })
    assert.same({ "1", "2" }, { file:read("l", "l", { timeout = 30 }) })
    assert.is_nil((file:read { timeout = 30 }))
  end)

  it("is written to, appended to and changed", function()
    local file = assert(fs:open("w", "w"))
    assert(file:write("a", 1, "\n"):write "b")
    assert.equal(false, fs:exists "w")
    assert(file:flush())
    assert.equal("a1\nb", assert(fs:read "w"))
    assert(file:write "c")
    assert(file:close())
    assert.equal("a1\nbc", assert(fs:read "w"))
    file = assert(fs:open("w", "a"))
    assert(file:write "+")
    assert(file:close())
    file = assert(fs:open("w", "r+"))
    assert.equal("a1", file:read "l")
    file:seek("set", 0)
    assert.same({ "a1\n", "bc", "+" }, { file:read("L", 2, "*L") })
    assert.is_nil(file:read "L")
    assert.equal("", file:read "a")
    assert.has_error(function() file:read "x" end)
    file:seek("set", 0)
    assert(file:write "A")
    assert(file:close())
    assert.equal("A1\nbc+", assert(fs:read "w"))
    assert(assert(fs:open("w", "w")):close())
    assert.equal("", assert(fs:read "w"))
    assert(assert(fs:open("made", "a")):close())
    assert.is_true(fs:exists "made")
  end)

  it("sends nothing when nothing was written", function()
    assert(fs:write("same", "x"))
    local before = service:count("POST", "/files/bulk-upload")
    assert(assert(fs:open("same", "a")):close())
    assert(assert(fs:open("same", "r+")):close())
    assert.equal(before, service:count("POST", "/files/bulk-upload"))
  end)

  it("that cannot be opened or sent is an error", function()
    for _, mode in ipairs { "r", "r+" } do
      local file, err = fs:open("nowhere", mode)
      assert.is_nil(file)
      assert.equal("not_found", err.kind)
    end
    assert(fs:mkdir "dir")
    local _, err = fs:open "dir"
    assert.equal("invalid", err.kind)
    local file = assert(fs:open("same2", "w"))
    assert(service.server:faults { { path = "/files/bulk-upload", drop = true } })
    local fine
    fine, err = file:close()
    assert.is_nil(fine)
    assert.equal("connection", err.kind)
    assert.is_true(file:close())
    assert.has_error(function() fs:open("x", "rw") end)
    assert.has_error(function() assert(fs:open "w"):write "x" end)
  end)

  it("is closed, and sent, at the end of a scope", function()
    daytona.using(fs:open("scope", "w"), function(file) file:write "x" end)
    assert.equal("x", assert(fs:read "scope"))
  end)
end)
