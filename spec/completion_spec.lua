-- What an editor offers who writes a program: a language server, told where the library is as
-- doc/guide.md says, completes.

local documents = require "spec.support.documents"
local language_server = require "spec.support.language_server"

local function output_of(command)
  local pipe = io.popen(command)
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- The configuration that the guide shows, for this checkout.
local function configuration(root)
  for _, block in ipairs(documents.blocks "doc/guide.md") do
    if block.language == "json" then
      local text, n = block.text:gsub("/usr/local/share/lua/5.4", root .. "/lua")
      return n == 1 and text
    end
  end
end

-- Each is completed where the bar stands.
local PROGRAM = [[
local daytona = require "daytona"
local check = daytona.assert
local sb = assert(daytona.create { language = "python" })
local job = check(sb:popen "ls")
local list = check(daytona.map({ 1 }, function(i) return sb:exec("echo " .. i) end))
local both = check(daytona.gather { function() return sb:exec "a" end, function() return sb:exec "b" end })
local one = check(daytona.within(5, function() return sb:session() end))
print(daytona.|)
print(sb:|)
print(sb:exec("ls", { | }))
print(job:|)
print(one:|)
print(list[1].|)
print(both[1].|)
print(sb.fs:|)
]]

local OFFERED = {
  { "create", "map", "using", "main" },
  { "exec", "popen", "delete" },
  { "cwd", "env", "timeout", "on_stdout" },
  { "lines", "write", "kill" },
  { "exec", "delete", never = "kill" },
  { "exit_code", "result" },
  { "exit_code", "result" },
  { "read", "sync", never = "mode" },
}

describe("a language server", function()
  if output_of "command -v emmylua_ls" == "" then
    pending "emmylua_ls is not here (scripts/setup types)"
    return
  end

  local folder = output_of("mktemp -d"):match "%S+"
  teardown(function() os.execute("rm -rf " .. folder) end)

  it("completes calls, options and results, and shows nothing private", function()
    write(folder .. "/.luarc.json", assert(configuration(output_of("pwd"):match "[^\n]+")))
    local server = language_server.start("emmylua_ls --log-path none", folder)
    local places, line = {}, 0
    for text in PROGRAM:gmatch "([^\n]*)\n" do
      local bar = text:find("|", 1, true)
      if bar then places[#places + 1] = { line, bar - 1 } end
      line = line + 1
    end
    server:open("prog.lua", (PROGRAM:gsub("|", "")))
    for i, place in ipairs(places) do
      local labels = server:complete("prog.lua", place[1], place[2])
      for _, name in ipairs(OFFERED[i]) do assert.is_true(labels[name], ("%d: %s"):format(i, name)) end
      assert.is_nil(labels[OFFERED[i].never or "?"])
      for name in pairs(labels) do assert.is_nil(name:find "^_", name) end
    end
    assert.equal(#OFFERED, #places)
    server:stop()
  end)
end)
