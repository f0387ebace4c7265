-- Files of a sandbox of the local server.

local daytona = require "daytona"

local files = require("spec.support.files").new()
local service, box, fs, folder

setup(function() service, box, fs = files:open() end)
teardown(function() files:close() end)
before_each(function() folder = files:fresh() end)
after_each(function() files:sweep() end)

local content = files.content
local function here(name, data) return files:here(name, data) end
-- What is in the local folder, which must never hold half a file.
local function listing() return files:listing() end

local BYTES = ("\0\1\r\n\255é"):rep(50000)

describe("an upload", function()
  it("takes a local file, and says what became of it", function()
    local done, total
    local info = assert(fs:upload(here("a.bin", BYTES), "up/b.bin", {
      on_progress = function(d, t) done, total = d, t end,
    }))
    assert.same({ path = "up/b.bin", name = "b.bin", size = #BYTES }, info)
    assert.equal(BYTES, assert(fs:read "up/b.bin"))
    assert.equal(#BYTES, done)
    assert.equal(#BYTES, total)
  end)

  it("into a folder keeps the name, or takes another", function()
    assert.equal("into/a.txt", assert(fs:upload(here("a.txt", "1"), "into/")).path)
    assert.equal("into/c.txt", assert(fs:upload(here("a.txt", "2"), "into", { name = "c.txt" })).path)
    assert.equal("2", assert(fs:read "into/c.txt"))
  end)

  it("takes a string, an open file from where it stands, and a function", function()
    assert.equal(3, assert(fs:upload({ data = "abc" }, "s")).size)
    local file = assert(io.open(here("h", "skip+rest"), "rb"))
    file:seek("set", 5)
    assert.equal(4, assert(fs:upload(file, "h")).size)
    file:close()
    assert.equal("rest", assert(fs:read "h"))
    local n = 0
    local function numbers()
      n = n + 1
      if n <= 1000 then return ("%08d"):format(n) end
    end
    assert.equal(8000, assert(fs:upload(numbers, "f")).size)
    assert.equal("00000999", assert(fs:read("f", { offset = 8 * 998, length = 8 })))
  end)

  it("of nothing makes an empty file", function()
    assert.equal(0, assert(fs:write("empty", "")).size)
    assert.equal("", assert(fs:read "empty"))
    assert.equal(0, assert(fs:upload(here("e", ""), "empty2")).size)
    assert.equal(0, assert(fs:upload(function() end, "empty3")).size)
  end)

  it("of what is not there, or is a directory, is an error", function()
    local info, err = fs:upload(folder .. "/none", "x")
    assert.is_nil(info)
    assert.equal("io", err.kind)
    info, err = fs:upload(folder, "x")
    assert.is_nil(info)
    assert.equal("io", err.kind)
    assert.is_false(fs:exists "x")
  end)

  it("whose source gives up is an error with its reason", function()
    local n = 0
    local info, err = fs:upload(function()
      n = n + 1
      if n < 3 then return "x" end
      return nil, "tape broke"
    end, "half")
    assert.is_nil(info)
    assert.equal("io", err.kind)
    assert.truthy(err.message:find("tape broke", 1, true))
  end)

  it("to a name with white space around it arrives under that name", function()
    assert(fs:write(" odd ", "1"))
    assert(fs:upload(here("o", "22"), " odd2 "))
    assert.equal("1", assert(fs:read " odd "))
    assert.equal("22", assert(fs:read " odd2 "))
  end)

  it("to a place that cannot be written says so", function()
    local info, err = fs:write("empty/below", "x")
    assert.is_nil(info)
    assert.equal("invalid", err.kind)
  end)

  it("is nothing else than what it takes", function()
    for _, call in ipairs {
      function() fs:upload(7, "x") end, function() fs:upload({}, "x") end, function() fs:upload({ data = 1 }, "x") end,
      function() fs:upload({ data = "" }, "folder/") end, function() fs:upload({ data = "" }, "") end,
      function() fs:upload({ data = "" }, "a\0b") end, function() fs:upload({ data = "" }, "x", { name = "a/b" }) end,
      function() fs:write("x") end, function() fs:write("x/", "") end, function() fs:write("x", 1) end,
    } do assert.has_error(call) end
  end)

  it("whose arguments have changed places is told so, at the caller's line", function()
    for _, swapped in ipairs { { "hello\nworld", "notes.txt" }, { "a\n", "out/x" }, { ("x"):rep(4096), "notes" } } do
      local fine, message = pcall(function() fs:write(swapped[1], swapped[2]) end)
      assert.is_false(fine)
      assert.matches("fs_spec.lua:%d+: write: the path comes first, then the data: this path has ", message)
    end
    assert(fs:write("odd\nname", "some text"))
    assert.equal("some text", fs:read "odd\nname")
    local mine = here("mine.txt", "x")
    local info, err = fs:upload("reports/of-the-sandbox.txt", mine)
    assert.is_nil(info)
    assert.matches("the file of this machine comes first, then its path in the sandbox", tostring(err), 1, true)
    info, err = fs:download(mine, "reports.txt")
    assert.is_nil(info)
    assert.matches("the path in the sandbox comes first, then that of this machine", tostring(err), 1, true)
    assert.same({ "not_found", "x" }, { err.kind, content(mine) })
    info, err = fs:upload("reports/of-nobody.txt", "reports/of-the-sandbox.txt")
    assert.is_nil(info)
    assert.is_nil(tostring(err):find("comes first", 1, true))
  end)
end)

describe("a download", function()
  setup(function() assert(box.fs:write("d/data.json", BYTES)) end)

  it("gives a file, its size and type", function()
    local target = here "out"
    local info = assert(fs:download("d/data.json", target))
    assert.equal("data.json", info.name)
    assert.equal(#BYTES, info.size)
    assert.truthy(info.mime_type:find "^%w+/[%w.+-]+$")
    assert.equal(target, info.saved_as)
    assert.equal(BYTES, content(target))
    assert.equal("out\n", listing())
  end)

  it("keeps the permissions of a file that it replaces, but lends nobody's rights", function()
    os.execute(("chmod 4711 '%s'; chmod 600 '%s'"):format(here("run", "old"), here("own", "old")))
    assert(fs:download("d/data.json", here "run"))
    assert.is_table(assert(fs:download_many { { "d/data.json", here "own" } }))
    assert.equal("711\n600\n", files:sh "stat -c %a run own")
  end)

  it("that cannot take its place leaves nothing", function()
    local _, err = fs:download("d/data.json", here "t", { on_progress = function() files:sh "mkdir -p t/x" end })
    assert.equal("io", err.kind)
    assert.equal("t\n", listing())
  end)

  it("into a folder keeps the name", function()
    assert(fs:download("d/data.json", folder))
    assert.equal(folder .. "/data.json", assert(fs:download("d/data.json", folder .. "/")).saved_as)
    assert.equal("data.json\n", listing())
  end)

  it("never leaves the folder, whatever it is called", function()
    for _, path in ipairs { "..", "d/..", "/" } do
      assert.has_error(function() fs:download(path, folder) end)
    end
  end)

  it("goes to an open file, and to a function", function()
    local file = assert(io.open(here "h", "w+b"))
    file:write("before:")
    assert.equal(#BYTES, assert(fs:download("d/data.json", file)).size)
    file:write(":after")
    file:close()
    assert.equal("before:" .. BYTES .. ":after", content(here "h"))
    local chunks, done = {}, 0
    assert(fs:download("d/data.json", function(chunk) chunks[#chunks + 1] = chunk end, {
      on_progress = function(d) done = d end,
    }))
    assert.equal(BYTES, table.concat(chunks))
    assert.equal(#BYTES, done)
  end)

  it("goes through a pipe or a link of that name, and replaces neither", function()
    local pipe, link, kept = here "pipe", here "link", here("kept", "old")
    os.execute(("mkfifo '%s'; ln -s kept '%s'"):format(pipe, link))
    local reader = io.popen(("cat <'%s' >'%s'"):format(pipe, here "copy"))
    assert.equal(pipe, assert(fs:download("d/data.json", pipe)).saved_as)
    reader:close()
    assert.equal(BYTES, content(here "copy"))
    assert.equal(link, assert(fs:download("d/data.json", link)).saved_as)
    assert.equal(BYTES, content(kept))
    local kinds = io.popen(("test -p '%s' && test -L '%s' && echo both"):format(pipe, link))
    assert.equal("both\n", kinds:read "*a")
    kinds:close()
    assert.equal("copy\nkept\nlink\npipe\n", listing())
  end)

  it("of what is not there leaves nothing behind", function()
    local info, err = fs:download("d/none", here "none")
    assert.is_nil(info)
    assert.equal("not_found FILE_NOT_FOUND", err.kind .. " " .. err.code)
    assert.is_true(daytona.is_error(err, "file"))
    assert.equal("download on d/none", tostring(err):match "^[^:]+")
    info, err = fs:download("d", here "none")
    assert.is_nil(info)
    assert.equal("invalid", err.kind)
    assert.equal("", listing())
  end)

  it("that is cut, reset or abandoned leaves what was there as it was", function()
    local target = here("old", "old")
    local impatient = service:connect({ max_retries = 0 }):attach(fs.sandbox.id).fs
    for _, fault in ipairs { { cut_after = 1000 }, { reset = "mid" }, { drop = true, times = 9 }, { slow = 1000 } } do
      fault.path = "/files/download"
      assert(service.server:clear_faults())
      assert(service.server:faults { fault })
      local info, err = impatient:download("d/data.json", target, { timeout = fault.slow and 0.5 or 5 })
      assert.is_nil(info)
      assert.truthy(err.kind == "connection" or err.kind == "timeout", tostring(err))
      assert.equal("old", content(target))
      assert.equal("old\n", listing())
    end
  end)

  it("goes through a pipe or a link of that name, and replaces neither", function()
    local pipe, link, kept = here "pipe", here "link", here "kept"
    assert(os.execute(("mkfifo '%s' && : >'%s' && ln -s kept '%s' && cat <'%s' >'%s' &")
      :format(pipe, kept, link, pipe, here "copy")))
    -- The shell returns before it has made them.
    repeat local made = os.execute(("test -p '%s' -a -L '%s'"):format(pipe, link)) until made == true or made == 0
    assert(fs:download("d/data.json", pipe))
    assert(os.execute(("test -p '%s'"):format(pipe)))
    repeat local copy = io.open(here "copy") ; local all = copy and copy:read "*a" ; if copy then copy:close() end
    until all == BYTES
    assert(fs:download("d/data.json", link))
    assert.equal(BYTES, content(kept))
    assert.equal("copy\nkept\nlink\npipe\n", listing())
  end)

  it("to a place that cannot be written says so before anything is asked", function()
    local info, err = fs:download("d/data.json", "/nonexistent/x")
    assert.is_nil(info)
    assert.equal("io", err.kind)
  end)

  it("to a full disk is an error", function()
    local full = io.open("/dev/full", "wb")
    if not full then return pending "this machine has no /dev/full" end
    local info, err = fs:download("d/data.json", full)
    full:close()
    assert.is_nil(info)
    assert.equal("io", err.kind)
  end)

  it("whose function gives up, or raises, ends", function()
    local info, err = fs:download("d/data.json", function() return false, "enough" end)
    assert.is_nil(info)
    assert.truthy(err.message:find("enough", 1, true))
    assert.has_error(function() fs:download("d/data.json", function() error "boom" end) end)
    assert.equal(#BYTES, #assert(fs:read "d/data.json"))
  end)

  it("above its cap is an error and leaves nothing", function()
    local info, err = fs:download("d/data.json", here "big", { max_bytes = 1000 })
    assert.is_nil(info)
    assert.equal("too_large", err.kind)
    assert.equal("", listing())
  end)
end)

describe("reading", function()
  setup(function() assert(box.fs:write("r", "0123456789")) end)

  it("gives the whole, or a part", function()
    assert.equal("0123456789", assert(fs:read "r"))
    assert.equal("345", assert(fs:read("r", { offset = 3, length = 3 })))
    assert.equal("789", assert(fs:read("r", { offset = 7 })))
    assert.equal("01", assert(fs:read("r", { length = 2 })))
    assert.equal("", assert(fs:read("r", { offset = 99 })))
    local text, err = fs:read("r", { max_bytes = 5 })
    assert.is_nil(text)
    assert.equal("too_large", err.kind)
  end)
end)

describe("a directory", function()
  it("is listed by name, with everything about its entries", function()
    assert(fs:write("l/b.txt", "12345"))
    assert(fs:write("l/a/deep/x", ""))
    assert(fs:chmod("l/b.txt", "0640"))
    local entries = assert(fs:list "l")
    assert.equal("a b.txt", entries[1].name .. " " .. entries[2].name)
    local a, b = entries[1], entries[2]
    assert.is_true(a.is_dir)
    assert.is_false(b.is_dir)
    assert.equal("5", tostring(b.size))
    assert.equal("-rw-r----- 0640", b.mode .. " " .. b.permissions)
    assert.equal("l/b.txt", b.path)
    assert.truthy(b.owner:find "^%d+$" and b.group:find "^%d+$")
    assert.truthy(b.modified_at:find "^%d%d%d%d%-%d%d%-%d%dT")
  end)

  it("is listed to a depth, as one list", function()
    local names = {}
    for _, entry in ipairs(assert(fs:list("l", { depth = 3 }))) do names[#names + 1] = entry.path end
    assert.equal("l/a l/a/deep l/a/deep/x l/b.txt", table.concat(names, " "))
  end)

  it("by default is the working directory, and may be empty", function()
    assert.is_true(#assert(fs:list()) > 0)
    assert(fs:mkdir "nothing/in/here")
    assert.same({}, assert(fs:list "nothing/in/here"))
  end)

  it("that is none is an error", function()
    assert.equal("not_found", select(2, fs:list "l/none").kind)
    assert.equal("invalid", select(2, fs:list "l/b.txt").kind)
    assert.has_error(function() fs:list("l", { depth = 0 }) end)
  end)

  it("believes no name that is none", function()
    for _, name in ipairs { "../x", "a/b", "/etc/passwd", "..", ".", "", "a\\u0000" } do
      local body = ('[{"name":"%s","isDir":false,"size":1}]'):format(name)
      assert(service.server:faults { { path = "/files", body = body } })
      local list, err = fs:list "d"
      assert.is_nil(list)
      assert.equal("protocol", err.kind)
      assert(service.server:clear_faults())
    end
  end)

  it("of a server too old for depth says so", function()
    assert(service.server:faults { { path = "/files", status = 200, body = '[{"name":"a","isDir":true,"size":1}]' } })
    local entries, err = fs:list("l", { depth = 2 })
    assert.is_nil(entries)
    assert.equal("unsupported", err.kind)
    assert.equal("l/a", assert(fs:list "l")[1].path)
  end)
end)

describe("files", function()
  it("are looked at, moved, changed and removed", function()
    assert(fs:write("m/a", "1"))
    assert.equal(1, assert(fs:stat "m/a").size)
    assert.is_true(fs:exists "m/a")
    assert.is_false(fs:exists "m/none")
    assert.equal("not_found", select(2, fs:stat "m/none").kind)
    assert(fs:move("m/a", "m/b"))
    assert(fs:write("m/a", "2"))
    assert.equal("conflict", select(2, fs:move("m/a", "m/b")).kind)
    -- What goes to another file system is copied, and may not be removable.
    assert(service.server:faults { { path = "/files/move", status = 200, times = 1,
      body = { message = "moved", error = "unlink m/b: permission denied" } } })
    local done, err = fs:move("m/b", "/tmp/b")
    assert.same({ nil, "forbidden", "move", "m/b" }, { done, err.kind, err.operation, err.what })
    assert(fs:chmod("m/b", { mode = "600" }))
    assert.equal("0600", assert(fs:stat "m/b").permissions)
    assert.equal("invalid", select(2, fs:remove "m").kind)
    assert(fs:remove("m", { recursive = true }))
    assert.is_false(fs:exists "m")
    assert.has_error(function() fs:chmod("m", "rw") end)
    assert.has_error(function() fs:remove "" end)
  end)

  it("of any name are the same file in every call", function()
    for _, name in ipairs {
      "with space", "ünïcödé 日本", "a+b&c=d%20?#", "-dash", "quote'\"", "new\nline", "\255\254",
    } do
      local path = "names/" .. name
      assert(fs:write(path, name))
      assert.equal(name, assert(fs:read(path)))
      assert.is_true(fs:exists(path))
      assert(fs:move(path, path .. "2"))
      assert(fs:remove(path .. "2"))
    end
    assert.same({}, assert(fs:list "names"))
  end)
end)
