-- The set "coding": each of its tools, with right, wrong and malicious arguments, against
-- the local server.

local daytona = require "daytona"
local schema = require "daytona.agent.schema"
local support = require "spec.support.tools"

local service, box, tools

local function call(name, arguments, opts) return support.call(tools, name, arguments, opts) end
local function fail(name, arguments)
  local kind, text = support.fail(tools, name, arguments)
  return text, kind
end

setup(function()
  service = require("spec.support.service").start()
  box = assert(service.client:create { name = "coding" })
  tools = daytona.tools("coding", { client = service.client, sandbox = box })
end)

teardown(function()
  tools:close()
  service:stop()
end)

describe("the set coding", function()
  it("has schemas that hold, and refuses wrong arguments by name", function()
    local right = { path = "x", command = "x", content = "x", old_string = "x", new_string = "y", pattern = "x",
      patch = "x", service = "x", port = 1, edits = { { old_string = "a", new_string = "b" } } }
    for _, tool in ipairs(tools.tools) do
      assert.is_nil(schema.flaw(tool.input))
      assert.is_nil(schema.flaw(tool.output))
      local own = {}
      for name in pairs(tool.input.properties) do own[name] = right[name] end
      support.wrong_arguments(tool, own, function(arguments, name)
        local kind, text = support.fail(tools, tool.name, arguments)
        assert.equal("invalid", kind)
        assert.truthy(text:find(name:match "%S+", 1, true), tool.name .. ": " .. text)
      end)
    end
  end)

  it("makes a sandbox of its own when it needs one, and deletes it", function()
    local own = daytona.tools("coding", { client = service.client, create = { name = "own" } })
    assert.equal("hi\n", support.call(own, "bash", { command = "echo hi" }).data.output)
    local results = daytona.map({ 1, 2, 3 }, function() return own:call("ls", {}).ok end)
    assert.same({ true, true, true, n = 3 }, results)
    assert.equal("started", service.client:get("own").state)
    own:close()
    own:close()
    local gone = service.client:get "own"
    assert.truthy(gone == nil or gone.state:find "^destroy")
    assert.equal("started", service.client:get("coding").state)
  end)
end)

describe("bash", function()
  it("shows what was printed, and an exit code that is not 0", function()
    assert.same({ "hi\n", "hi\n" }, { call("bash", { command = "echo hi" }).text,
      call("bash", { command = "echo hi" }).data.output })
    local result = call("bash", { command = "printf oops; exit 3", cwd = "/tmp" })
    assert.equal("oops\n[exit code 3]", result.text)
    assert.equal(3, result.data.exit_code)
    assert.equal("(no output)", call("bash", { command = "true" }).text)
    assert.truthy(fail("bash", { command = "sleep 60", timeout = 1 }):find "its time was over")
    assert.truthy(fail("bash", { command = "x", cwd = "/none" }):find "no such file")
  end)

  it("of much output shows both ends", function()
    local result = call("bash", { command = "seq 1 1000000" })
    assert.is_true(result.truncated)
    assert.is_true(#result.text <= 50 * 1024)
    assert.truthy(result.text:find "^1\n2\n" and result.text:find "\n1000000\n$")
    assert.equal("6888896\n", call("bash", { command = "wc -c <" .. result.read_more }).text)
  end)

  it("in the background is a service", function()
    local started = call("bash", { command = "echo up; sleep 600", background = true }).data.service
    while not call("service_logs", { service = started }).text:find "up" do daytona.sleep(0.05) end
    assert.equal("up\n[running]", call("service_logs", { service = started }).text)
    call("service_stop", { service = started })
    local logs = call("service_logs", { service = started }).data
    assert.is_false(logs.running)
    assert.truthy(fail("service_logs", { service = "../x" }):find "no such service")
    assert.truthy(fail("service_stop", { service = "none" }):find "no such service")
  end)
end)

describe("a service", function()
  it("is there when its port is, and has an address", function()
    local port = tonumber(call("bash", { command = [[python3 -c "import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])"]] }).data.output)
    local command = "python3 -m http.server --bind 127.0.0.1 " .. port
    local service_id = call("service_start", { command = command, port = port }).data.service
    local url = call("preview", { port = port }).data.url
    assert.truthy(url:find "^http")
    assert.truthy(call("bash", { command = "curl -s http://127.0.0.1:" .. port .. " | head -1" }).text:find "DOCTYPE")
    call("service_stop", { service = service_id })
  end)

  it("that ends at once, or never listens, says so", function()
    assert.truthy(fail("service_start", { command = "echo why; exit 4", port = 9 }):find "exit code 4:\nwhy")
    local text = fail("service_start", { command = "sleep 600", port = 9, timeout = 1 })
    assert.truthy(text:find "nothing listens on port 9")
  end)
end)

describe("a file", function()
  it("is written, read and changed", function()
    assert.equal("wrote 6 bytes to dir/a.txt", call("write", { path = "dir/a.txt", content = "a\nb\nc\n" }).text)
    assert.same({ content = "a\nb\nc", first_line = 1, last_line = 3, total_lines = 3 },
      call("read", { path = "dir/a.txt" }).data)
    assert.same({ path = "dir/a.txt", replacements = 1 },
      call("edit", { path = "dir/a.txt", old_string = "b\n", new_string = "B\n" }).data)
    call("multiedit", { path = "dir/a.txt", edits = {
      { old_string = "B", new_string = "x\nx" }, { old_string = "x", new_string = "y", replace_all = true } } })
    assert.equal("a\ny\ny\nc", call("read", { path = "dir/a.txt" }).data.content)
    local text = fail("multiedit", { path = "dir/a.txt", edits = {
      { old_string = "a", new_string = "b" }, { old_string = "none", new_string = "b" } } })
    assert.truthy(text:find "edit 2: .*nothing was changed")
    text = fail("edit", { path = "dir/a.txt", old_string = "y", new_string = "z" })
    assert.truthy(text:find "2 times %(lines 2, 3%)")
    assert.equal("a\ny\ny\nc", call("read", { path = "dir/a.txt" }).data.content)
  end)

  it("is read by windows", function()
    call("bash", { command = "seq 1 5000 >numbers" })
    local result = call("read", { path = "numbers" })
    assert.is_true(result.truncated)
    local next_offset = tonumber(result.text:match "go on with offset (%d+)")
    assert.equal(result.data.last_line + 1, next_offset)
    result = call("read", { path = "numbers", offset = next_offset, limit = 3 })
    assert.equal(("%d\n%d\n%d"):format(next_offset, next_offset + 1, next_offset + 2), result.data.content)
    assert.equal("5000", call("read", { path = "numbers", offset = 5000 }).text)
    assert.truthy(fail("read", { path = "numbers", offset = 5001 }):find "has 5000 lines")
  end)

  it("of many megabytes is read by windows, too", function()
    call("bash", { command = "seq 1 2000000 >huge" })
    assert.equal("1999999\n2000000", call("read", { path = "huge", offset = 1999999 }).text)
    assert.is_true(#call("read", { path = "huge" }).text <= 50 * 1024)
  end)

  it("that is a picture is shown, one that is neither is refused", function()
    call("bash", { command = "printf '\\211PNG\\r\\n' >a.png; printf 'a\\0b' >bytes; printf '\\0ab' >nul"
      .. "; : >empty; mkdir -p folder" })
    assert.equal("image/png", call("read", { path = "a.png" }).images[1].mime_type)
    assert.truthy(fail("read", { path = "bytes" }):find "not a text file")
    assert.truthy(fail("read", { path = "nul" }):find "not a text file")
    assert.equal("(the file is empty)", call("read", { path = "empty" }).text)
    assert.truthy(fail("read", { path = "folder" }):find "is a folder")
    assert.truthy(fail("read", { path = "none" }):find "List the folder")
    for _, path in ipairs { "a\0b", "none/../../x", "../../.." } do
      assert.is_string(fail("read", { path = path }))
    end
    assert.is_string(fail("write", { path = "numbers/x", content = "" }))
  end)

  it("keeps bytes that are no UTF-8 when it is changed", function()
    call("bash", { command = "printf 'a\\377b\\r\\n' >latin" })
    call("edit", { path = "latin", old_string = "b", new_string = "c" })
    assert.equal("a\255c\r\n", box.fs:read "latin")
  end)

  it("of ten megabytes is written", function()
    assert.equal(10000000, call("write", { path = "ten", content = ("x"):rep(10000000) }).data.size)
  end)
end)

describe("files", function()
  it("are added, changed, moved and deleted by a patch, all or none", function()
    call("write", { path = "p/old.txt", content = "one\ntwo\n" })
    call("write", { path = "p/gone.txt", content = "x" })
    local text = "*** Begin Patch\n*** Add File: p/new.txt\n+new\n*** Update File: p/old.txt\n"
      .. "*** Move to: p/moved.txt\n@@\n one\n-two\n+2\n*** Delete File: p/gone.txt\n*** End Patch"
    local result = call("apply_patch", { patch = text })
    assert.same({ { path = "p/new.txt", change = "added" }, { path = "p/moved.txt", change = "moved from p/old.txt" },
      { path = "p/gone.txt", change = "deleted" } }, result.data.files)
    assert.equal("moved.txt\nnew.txt", call("ls", { path = "p" }).text)
    assert.equal("one\n2\n", box.fs:read "p/moved.txt")
    local bad = "*** Begin Patch\n*** Add File: p/other.txt\n+x\n*** Update File: p/moved.txt\n-nothing\n+x\n"
      .. "*** End Patch"
    local why = fail("apply_patch", { patch = bad })
    assert.truthy(why:find "p/moved.txt: these lines are not in the file.*Nothing was changed")
    assert.equal("moved.txt\nnew.txt", call("ls", { path = "p" }).text)
    assert.truthy(fail("apply_patch", { patch = text }):find "p/new.txt: there is such a file already")
  end)

  it("are listed and found", function()
    call("bash", { command = "mkdir -p g/src/in g/.git && touch g/a.lua g/src/b.lua g/src/in/c.lua g/.git/d.lua && "
      .. "printf 'x = 1\\nprint(X)\\n' >g/src/b.lua" })
    assert.equal(".git/\na.lua\nsrc/", call("ls", { path = "g" }).text)
    assert.same({ "a.lua", "src/b.lua", "src/in/c.lua" }, call("glob", { pattern = "*.lua", path = "g" }).data.files)
    assert.same({ "src/b.lua" }, call("glob", { pattern = "src/*.lua", path = "g" }).data.files)
    assert.equal("(nothing found)", call("glob", { pattern = "*.c", path = "g" }).text)
    assert.truthy(fail("glob", { pattern = "*", path = "none" }):find "no such folder")
    call("bash", { command = "mkdir many && cd many && seq 1 2100 | xargs touch" })
    local many = call("glob", { pattern = "*", path = "many" })
    assert.equal(tostring(2100 - #many.data.files), many.text:match "%[and (%d+) more%]")
    assert.equal(1990, #many.data.files)
    assert.same({ "g/src/b.lua:2:print(X)" }, call("grep", { pattern = "print\\(.\\)", path = "g" }).data.matches)
    assert.equal(2, #call("grep", { pattern = "x", path = "g", ignore_case = true, include = "*.lua" }).data.matches)
    assert.equal("(nothing found)", call("grep", { pattern = "-e nothing", path = "g" }).text)
    assert.truthy(fail("grep", { pattern = "(", path = "g" }):find "grep")
    assert.truthy(fail("grep", { pattern = "x", path = "none" }):find "none")
    assert.truthy(fail("ls", { path = "none" }):find "not_found")
  end)
end)

describe("a checkout of the user", function()
  it("goes into the sandbox, and what is done there comes back as a branch", function()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute(("git init -q -b main %s && cd %s && echo one >a && git add a && "
      .. "git -c user.name=u -c user.email=u@x commit -q -m one"):format(folder, folder))
    local own = daytona.tools("coding", { client = service.client, sandbox = box, checkout = folder })
    assert.equal("project", support.call(own, "git_sync", { direction = "up" }).data.folder)
    support.call(own, "edit", { path = "project/a", old_string = "one", new_string = "two" })
    local back = support.call(own, "git_sync", { direction = "down", message = "it's two" }).data
    assert.equal("daytona/coding", back.branch)
    local pipe = io.popen(("git -C %s show %s:a; git -C %s log -1 --format=%%s %s; cat %s/a"):format(
      folder, back.branch, folder, back.branch, folder))
    assert.equal("two\nit's two\none\n", pipe:read "*a")
    pipe:close()
    assert.equal(back.commit, support.call(own, "git_sync", { direction = "down" }).data.commit)
    os.execute("rm -rf " .. folder)
    assert.truthy(select(2, support.fail(own, "git_sync", { direction = "up" })):find "git said here")
  end)
end)

describe("a toolset with a folder", function()
  it("starts from there with relative paths and commands", function()
    local inside = daytona.tools("coding", { client = service.client, sandbox = box, folder = "/tmp/a folder" })
    local function text(name, arguments) return support.call(inside, name, arguments).text end
    assert(box:exec "mkdir -p '/tmp/a folder/sub'")
    text("write", { path = "sub/x.lua", content = "one\n" })
    text("edit", { path = "sub/x.lua", old_string = "one", new_string = "two" })
    text("apply_patch", { patch = "*** Begin Patch\n*** Update File: sub/x.lua\n*** Move to: sub/y.lua\n@@\n-two\n"
      .. "+three\n*** Add File: z.lua\n+z\n*** End Patch" })
    assert.equal("three", (text("read", { path = "/tmp/a folder/sub/y.lua" })))
    assert.equal("/tmp/a folder\nsub\nz.lua\n", text("bash", { command = "pwd; ls" }))
    assert.equal("/tmp/a folder/sub\n", text("bash", { command = "pwd", cwd = "sub" }))
    assert.equal("sub/\nz.lua", text("ls", {}))
    assert.equal("sub/y.lua\nz.lua", text("glob", { pattern = "*.lua" }))
    assert.truthy(text("grep", { pattern = "three" }):find "sub/y.lua:1:three")
    inside:close()
  end)
end)
