-- What the smallest useful program loads: each file that it does not need is time and memory
-- of every program that starts (`bench/lua/script.lua` measures them).

local devserver = require "daytona.devserver"

-- So many files, and bytes in them, may a program load that makes a sandbox, waits for it, runs
-- a command and deletes it. Who needs more asks first whether it can come with its first use
-- (methods.later, or a require where it is used). Reading a file costs about 100 instructions
-- a byte; a comment's byte, 16.
local MOST, MOST_BYTES = 37, 226 * 1024

local PROGRAM = [[
  local daytona = require "daytona"
  local function told(what)
    local list = {}
    for name in pairs(package.loaded) do
      if name:find "^daytona" then list[#list + 1] = name end
    end
    table.sort(list)
    print(what .. " " .. table.concat(list, " "))
  end
  told "module"
  local url, key = ARG:match "(%S+) (%S+)"
  local sandbox = assert(daytona.new { api_url = url, api_key = key }:create { language = "python" })
  assert(assert(sandbox:exec "echo started").exit_code == 0)
  told "command"
  assert(sandbox:delete())
  told "script"
]]

-- KiB of the code of libraries that libcurl is linked to and these calls do not need, before the
-- first call and after the last one.
local LIBRARIES = [[
  local daytona, core = require "daytona", require "daytona.base.native"
  local function resident()
    local total, counts = 0, false
    for line in io.lines "/proc/self/smaps" do
      if line:find "^%x+%-%x+ " then
        counts = line:find("libidn2", 1, true) or line:find("libssh2", 1, true) or line:find("libnghttp2", 1, true)
      elseif counts then
        total = total + (line:match "^Rss: +(%d+)" or 0)
      end
    end
    return total
  end
  local url, key = ARG:match "(%S+) (%S+)"
  local before = resident()
  local client = daytona.new { api_url = url, api_key = key }
  for _ = 1, 3 do assert(client:get "nobody" == nil) end
  print(before, resident(), core.curl_version())
]]

describe("a program that starts", function()
  local loaded, server = {}, nil

  -- Without the child's prelude, which requires more than a program does.
  local function run(program)
    local compat = require "daytona.base.compat"
    local shell = require "daytona.base.shell"
    local text = 'package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path\n'
      .. ("local ARG = %q\n"):format(server.api_url .. " " .. server.api_key) .. program
    return assert(io.popen(("env -u LUA_INIT %s -e %s </dev/null 2>&1"):format(compat.name, shell.quote(text))))
  end

  setup(function()
    server = assert(devserver.start {})
    local pipe = run(PROGRAM)
    for line in pipe:lines() do
      local what, list = line:match "^(%a+) (.*)$"
      local names = {}
      for name in (list or ""):gmatch "%S+" do names[#names + 1] = name end
      loaded[what or "?"] = names
      assert(what == "module" or what == "command" or what == "script", line)
    end
    pipe:close()
  end)

  teardown(function()
    if server then server:close() end
  end)

  local function has(what, name)
    for _, other in ipairs(loaded[what]) do
      if other == name then return true end
    end
    return false
  end

  it("loads one file for the module", function()
    assert.same({ "daytona" }, loaded.module)
  end)

  it("loads little for a first sandbox and a first command", function()
    for _, name in ipairs {
      "base.sdk_names", "base.refusal", "http.failure", "http.redirect", "http.retry", "http.stream",
      "control.change", "control.changes", "control.recovery", "control.scope", "control.custody",
      "control.undo", "control.row", "control.fate", "control.env_file", "control.ledger_file",
      "control.contradictions", "control.heard", "control.verdict", "control.finding", "control.family",
      "control.refused", "toolbox.run", "toolbox.exec_options", "toolbox.daemon", "toolbox.machine",
      "toolbox.refused", "loop.task", "loop.hosted", "loop.latch", "loop.choice", "http.given", "http.sources",
      "http.long_json", "http.ordered_json", "http.reference", "http.query", "base.misuse", "base.printable",
      "base.variables", "base.grouping", "loop.deadline", "toolbox.calls", "version",
    } do
      assert.is_false(has("command", "daytona." .. name), name .. " came with the first command")
    end
  end)

  it("loads no more than it did", function()
    local names, bytes = loaded.script, 0
    assert.is_true(#names > 20)
    assert.is_true(#names <= MOST + 1, #names - 1 .. " files: " .. table.concat(names, " ")) -- the C module is one
    for _, name in ipairs(names) do
      local path = "lua/" .. name:gsub("%.", "/")
      local file = io.open(path .. ".lua") or io.open(path .. "/init.lua")
      if name ~= "daytona.core" then
        bytes = bytes + assert(file, name):seek "end"
        file:close()
      end
    end
    assert.is_true(bytes > 100 * 1024 and bytes <= MOST_BYTES, bytes .. " bytes")
  end)

  -- To tell its version libcurl asks all of them for theirs, which from 8.16 on matters.
  it("brings no code of libraries into memory that it does not need", function()
    if not io.open "/proc/self/smaps" then return pending "the kernel does not tell what is in memory" end
    local pipe = run(LIBRARIES)
    local told = pipe:read "*a"
    pipe:close()
    local before, after, major, minor = told:match "^([%d.]+)%s+([%d.]+)%s+libcurl/(%d+)%.(%d+)"
    assert(minor, told)
    if major + 0 > 8 or major + 0 == 8 and minor + 0 >= 16 then return pending "libcurl's version matters" end
    assert.is_true(tonumber(after) <= tonumber(before), told)
  end)
end)
