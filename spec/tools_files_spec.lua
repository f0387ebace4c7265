-- Tools on the files of a sandbox, which is in memory here: windows, limits, failures.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local memory_box = require "spec.support.memory_box"
local support = require "spec.support.tools"

local box, tools

local function new(set, files, answer, opts)
  box = memory_box.new(files, answer)
  opts = opts or {}
  opts.sandbox = box
  tools = daytona.tools(set, opts)
end

local function call(name, arguments) return support.call(tools, name, arguments) end
local function fail(name, arguments) return (select(2, support.fail(tools, name, arguments))) end

local function numbers(first, last)
  local out = {}
  for i = first, last do out[#out + 1] = i .. "\n" end
  return table.concat(out)
end

describe("read", function()
  local function read(arguments)
    arguments.path = arguments.path or "f"
    return call("read", arguments)
  end

  it("shows a window of a file, and how to go on", function()
    new("coding", { f = numbers(1, 30), empty = "", one = "x" }, nil, { max_lines = 20 })
    local result = read {}
    assert.same({ content = numbers(1, 10):sub(1, -2), first_line = 1, last_line = 10, total_lines = 30 }, result.data)
    assert.equal(numbers(1, 10) .. "[lines 1 to 10 of 30; go on with offset 11]", result.text)
    assert.same({ true, "f", "box" }, { result.truncated, result.read_more, result.sandbox })
    result = read { offset = 21 }
    assert.same({ numbers(21, 30):sub(1, -2), 30, false }, { result.text, result.data.last_line, result.truncated })
    assert.is_nil(result.read_more)
    assert.equal("30", read({ offset = 30, limit = 5 }).text)
    assert.equal("29\n[lines 29 to 29 of 30; go on with offset 30]", read({ offset = 29, limit = 1 }).text)
    assert.equal("the file has 30 lines; there is no line 31", fail("read", { path = "f", offset = 31 }))
    assert.equal("(the file is empty)", read({ path = "empty" }).text)
    assert.same({ content = "", first_line = 1, last_line = 0, total_lines = 0 }, read({ path = "empty" }).data)
    assert.equal("the file has 0 lines; there is no line 2", fail("read", { path = "empty", offset = 2 }))
    assert.equal("x", read({ path = "one" }).text)
  end)

  it("says where it went on when bytes are the limit", function()
    new("coding", { f = (("x"):rep(99) .. "\n"):rep(20) }, nil, { max_bytes = 1000 })
    local result = read {}
    assert.equal(result.data.last_line + 1, tonumber(result.text:match "go on with offset (%d+)"))
    assert.same({ 7, true, "f" }, { result.data.last_line, result.truncated, result.read_more })
    for bytes = 1001, 1100, 17 do -- cut within a line, or at its end: nothing is passed over
      new("coding", { f = (("x"):rep(99) .. "\n"):rep(20) }, nil, { max_bytes = bytes })
      assert.equal(8, read({}).data.last_line, bytes)
    end
    new("coding", { f = ("x"):rep(5000) .. "\nlast\n" }, nil, { max_bytes = 1000 })
    assert.matches("lines 1 to 1 of 2; go on with offset 2%]$", read({}).text)
  end)

  it("has the shell take the lines of a file that is too large", function()
    local asked
    new("coding", { f = ("x"):rep(4 * 1024 * 1024 + 1), g = ("x"):rep(4 * 1024 * 1024) }, function(command)
      asked = command
      return { result = "  90\na\nb\n" }
    end)
    local result = read { offset = 5, limit = 2 }
    assert.same({ content = "a\nb", first_line = 5, last_line = 6, total_lines = 90 }, result.data)
    assert.equal("wc -l <f; sed -n '5,6p;7q' <f | head -c 1000000", asked)
    asked = nil
    assert.is_true(read({ path = "g" }).truncated)
    assert.is_nil(asked)
    new("coding", { f = ("x"):rep(4 * 1024 * 1024 + 1) }, function() return nil, "gone" end)
    assert.equal("gone", fail("read", { path = "f" }))
  end)

  it("shows pictures up to four megabytes", function()
    new("coding", { ["a.png"] = ("x"):rep(4 * 1024 * 1024), ["b.png"] = ("x"):rep(4 * 1024 * 1024 + 1),
      folder = false })
    local result = read { path = "a.png" }
    assert.same({ "a.png", "image/png", { content = "", first_line = 0, last_line = 0, total_lines = 0 } },
      { result.text, result.images[1].mime_type, result.data })
    assert.equal("the picture is too large: 4194305 bytes", fail("read", { path = "b.png" }))
    assert.equal("it is a folder; list it with ls", fail("read", { path = "folder" }))
  end)
end)

describe("files", function()
  it("are written and changed, or the failure is told", function()
    new("coding", { a = "1\n1\n2\n" })
    assert.same({ path = "b", size = 3 }, call("write", { path = "b", content = "x\ny" }).data)
    assert.equal("x\ny", box.fs.files.b)
    assert.equal("no space", fail("write", { path = "full", content = "" }))
    assert.equal("changed 2 places in a",
      call("edit", { path = "a", old_string = "1", new_string = "one", replace_all = true }).text)
    assert.equal("changed 1 place in a", call("edit", { path = "a", old_string = "2", new_string = "two" }).text)
    assert.same({ path = "a", replacements = 3 }, call("multiedit", { path = "a", edits = {
      { old_string = "one", new_string = "1", replace_all = true }, { old_string = "two", new_string = "2" } } }).data)
    assert.equal("1\n1\n2\n", box.fs.files.a)
    local why = fail("multiedit", { path = "a", edits = { { old_string = "2", new_string = "3" },
      { old_string = "9", new_string = "3" } } })
    assert.matches("^edit 2: old_string is not in the file; .*; nothing was changed$", why)
    why = fail("multiedit", { path = "a", edits = { { old_string = "9", new_string = "" } } })
    assert.matches("^old_string is not", why)
    assert.equal("1\n1\n2\n", box.fs.files.a)
    box.fs.files.full = "x"
    assert.equal("no space", fail("edit", { path = "full", old_string = "x", new_string = "y" }))
    assert.matches("no such file", fail("edit", { path = "none", old_string = "x", new_string = "y" }))
  end)

  it("are listed, as many as a result may have", function()
    local files = { ["."] = false, empty = false, ["./sub"] = false }
    for i = 1, 4 do files["./f" .. i] = ("x"):rep(i) end
    new("coding", files, nil, { max_lines = 14 })
    local result = call("ls", {})
    assert.equal("f1\nf2\nf3\nf4\n[and 1 more]", result.text)
    assert.is_true(result.truncated)
    assert.same({ name = "f2", is_dir = false, size = 2 }, result.data.entries[2])
    new("coding", files, nil, { max_lines = 15 })
    result = call("ls", { path = "." })
    assert.same({ "f1\nf2\nf3\nf4\nsub/", false }, { result.text, result.truncated })
    assert.equal("(empty)", call("ls", { path = "empty" }).text)
    assert.matches("no such file", fail("ls", { path = "none" }))
  end)

  it("are found by pattern, as many as a result may have", function()
    local asked, answer
    new("coding", {}, function(command, opts)
      asked = command .. " " .. opts.timeout
      return answer
    end, { max_lines = 12 })
    answer = { exit_code = 0, result = "./a.lua\n./b/c.lua\n./b/d.c\n" }
    assert.same({ files = { "a.lua", "b/c.lua" } }, call("glob", { pattern = "*.lua" }).data)
    assert.equal("cd -- . || exit 2; find . \\( -name .git -o -name node_modules -o -name __pycache__ "
      .. "-o -name .venv \\) -prune -o -type f -print | LC_ALL=C sort | head -c 4000000 60", asked)
    local result = call("glob", { pattern = "**", path = "a b" })
    assert.matches("^cd %-%- 'a b' ", asked)
    assert.same({ "a.lua\nb/c.lua\n[and 1 more]", true }, { result.text, result.truncated })
    assert.is_false(call("glob", { pattern = "*.lua" }).truncated)
    assert.equal("(nothing found)", call("glob", { pattern = "*.x" }).text)
    answer = { exit_code = 2, result = "" }
    assert.equal("there is no such folder", fail("glob", { pattern = "*" }))
    answer = { exit_code = 0, timed_out = true, result = "" }
    assert.matches("took more than 60 seconds", fail("glob", { pattern = "*" }))
  end)
end)

describe("the editor of a model", function()
  local function edit(command, more)
    more = more or {}
    more.command, more.path = command, more.path or "f"
    return call("str_replace_based_edit_tool", more).text
  end

  local function refused(command, more)
    more = more or {}
    more.command, more.path = command, more.path or "f"
    return fail("str_replace_based_edit_tool", more)
  end

  before_each(function()
    new("native", { f = "a\nb\nc\n", empty = "", bytes = "\0a", dir = false, ["dir/x"] = "1", ["dir/y"] = false })
  end)

  it("shows lines with their numbers, and folders", function()
    assert.equal("     1\ta\n     2\tb\n     3\tc", edit "view")
    assert.equal("     2\tb", edit("view", { view_range = { 2, 2 } }))
    assert.equal("     3\tc", edit("view", { view_range = { 3, 9 } }))
    assert.equal("     1\ta\n     2\tb\n     3\tc", edit("view", { view_range = { 1, -1 } }))
    assert.equal("x\ny/", edit("view", { path = "dir" }))
    assert.equal("(empty)", edit("view", { path = "empty" }))
    for _, range in ipairs { { 0, 1 }, { 4, 5 }, { 3, 2 }, { 2, -5 } } do
      assert.equal("view_range must be within the file's 3 lines", refused("view", { view_range = range }))
    end
    assert.equal("it is not a text file", refused("view", { path = "bytes" }))
    assert.matches("no such file", refused("view", { path = "none" }))
  end)

  it("creates, replaces and inserts", function()
    assert.equal("wrote new", edit("create", { path = "new", file_text = "x" }))
    assert.equal("x", box.fs.files.new)
    assert.equal("changed f", edit("str_replace", { old_str = "b", new_str = "B" }))
    assert.equal("changed f", edit("str_replace", { old_str = "c\n" }))
    assert.equal("a\nB\n", box.fs.files.f)
    assert.equal("changed f", edit("insert", { insert_line = 1, insert_text = "x\ny\n" }))
    assert.equal("changed f", edit("insert", { insert_line = 0, new_str = "top" }))
    assert.equal("changed f", edit("insert", { insert_line = 5, insert_text = "end" }))
    assert.equal("top\na\nx\ny\nB\nend\n", box.fs.files.f)
    edit("insert", { path = "empty", insert_line = 0, insert_text = "" })
    assert.equal("", box.fs.files.empty)
  end)

  it("says what is missing, and what does not fit", function()
    assert.equal("file_text is required", refused "create")
    assert.equal("no space", refused("create", { path = "full", file_text = "x" }))
    assert.equal("old_str is required", refused("str_replace", {}))
    assert.equal("old_str is required", refused("str_replace", { old_str = "" }))
    assert.equal("old_str and new_str are the same", refused("str_replace", { old_str = "a", new_str = "a" }))
    box.fs.files.f = "a\na\n"
    assert.equal("old_str is in the file 2 times (lines 1, 2); add lines around it until it is there once",
      refused("str_replace", { old_str = "a" }))
    for _, more in ipairs { {}, { insert_line = 1 }, { insert_text = "x" } } do
      assert.equal("insert_line and insert_text are required", refused("insert", more))
    end
    assert.equal("the file has 2 lines", refused("insert", { insert_line = 3, insert_text = "x" }))
    box.fs.files.full = "x\n"
    assert.equal("no space", refused("insert", { path = "full", insert_line = 0, insert_text = "x" }))
    assert.equal("no space", refused("str_replace", { path = "full", old_str = "x" }))
    assert.matches("no such file", refused("str_replace", { path = "none", old_str = "x" }))
  end)
end)

describe("the shell of a model", function()
  local opened, deleted, answer, ran

  before_each(function()
    opened, deleted, ran = {}, {}, {}
    new("native", {})
    box.session = function(_, id, opts)
      if answer == "no session" then return nil, "no session" end
      opened[#opened + 1] = id
      assert.is_true(opts.create)
      return {
        exec = function(_, command, given)
          ran[#ran + 1] = command .. " " .. given.timeout
          if answer.kind then return nil, answer end
          return answer
        end,
        delete = function() deleted[#deleted + 1] = id end,
      }
    end
  end)

  it("lasts from call to call, until it is begun anew or the toolset is closed", function()
    answer = { exit_code = 0, output = "hi\n", stdout = "none" }
    assert.same({ exit_code = 0, output = "hi\n" }, call("bash", { command = "echo hi" }).data)
    assert.equal("hi\n", call("bash", { command = "x" }).text)
    assert.same({ "echo hi 120", "x 120" }, ran)
    assert.equal(1, #opened)
    assert.matches("^daytona%-native%-bash%-%x%x%x%x%x%x%x%x$", opened[1])
    local result = call("bash", { restart = true })
    assert.same({ { restarted = true }, "a new shell has begun" }, { result.data, result.text })
    assert.same({ { opened[1] }, 2, true }, { deleted, #opened, opened[1] ~= opened[2] })
    tools:close()
    local gone = {}
    for _, id in ipairs(deleted) do gone[id] = true end
    assert.is_true(gone[opened[2]])
  end)

  it("shows what was printed, and an exit code that is not 0", function()
    answer = { exit_code = 3, output = "oops\n" }
    assert.equal("oops\n[exit code 3]", call("bash", { command = "x" }).text)
    answer = { exit_code = 0, stdout = "out", stderr = "err" }
    assert.equal("outerr", call("bash", { command = "x" }).text)
    answer = { exit_code = 0 }
    assert.equal("(no output)", call("bash", { command = "x" }).text)
    answer = { exit_code = 0, output = ("x\n"):rep(3000) }
    assert.is_true(call("bash", { command = "x" }).truncated)
    for _, arguments in ipairs { {}, { command = " \n" } } do
      assert.equal("command is required", fail("bash", arguments))
    end
  end)

  it("is begun anew after a command that takes too long, and tells other failures", function()
    answer = errors.new { kind = "timeout", message = "late" }
    assert.matches("still running after 120 seconds", fail("bash", { command = "x" }))
    assert.same(opened, deleted)
    answer = errors.new { kind = "server", message = "broken" }
    assert.matches("broken", fail("bash", { command = "x" }))
    assert.same({ 2, 1 }, { #opened, #deleted })
    new("native", {})
    box.session = function() return nil, "no session" end
    assert.equal("no session", fail("bash", { command = "x" }))
  end)
end)
