-- `require "daytona.devserver".client()`: what a program that is to run anywhere begins with.

local compat = require "daytona.base.compat"
local shell = require "daytona.base.shell"

local service

setup(function() service = require("spec.support.service").start() end)
teardown(function() service:stop() end)

local PROGRAM = [[
  local daytona = require "daytona"
  local client, err = require("daytona.devserver").client(ARGUMENT)
  if not client then
    print(err.kind)
  else
    local sandbox = daytona.assert(client:create())
    print(client.api_url, client.server and client.server.pid or "none")
    daytona.assert(sandbox:delete { wait = true })
  end
]]

local COMMAND = ("env -u DAYTONA_API_URL -u DAYTONA_API_KEY -u DAYTONA_JWT_TOKEN "
  .. "LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/%s/?.so;;' %%s %s -e %%s 2>%%s")
  :format(compat.name, compat.name)

-- What the program prints, and what it says on standard error.
local function run(variables, argument)
  local program = PROGRAM:gsub("ARGUMENT", argument or "")
  local name = os.tmpname()
  local pipe = io.popen(COMMAND:format(variables, shell.quote(program), name))
  local printed = pipe:read "*a"
  pipe:close()
  local file = io.open(name)
  local told = file:read "*a"
  file:close()
  os.remove(name)
  return printed, told
end

describe("a client for trying things out", function()
  it("is one of the service that the environment names", function()
    local server = service.server
    local printed, told = run(("DAYTONA_API_URL=%s DAYTONA_API_KEY=%s"):format(server.api_url, server.api_key))
    assert.equal(server.api_url .. "\tnone\n", printed)
    assert.equal("", told)
  end)

  it("is one of a local server where there is no key, which ends with the program", function()
    local printed, told = run "DAYTONA_API_KEY="
    local url, pid = printed:match "^(http://127%.0%.0%.1:%d+/api)\t(%d+)\n$"
    assert.truthy(pid, printed .. told)
    assert.truthy(told:find("using a local server at " .. url, 1, true), told)
    for _ = 1, 500 do
      if os.execute("! kill -0 " .. pid .. " 2>/dev/null") == (_VERSION == "Lua 5.1" and 0 or true) then return end
      os.execute "sleep 0.02"
    end
    error "the server is still there"
  end)

  it("says nothing where that is asked for", function()
    local printed, told = run("", "{ quiet = true }")
    assert.truthy(printed:find "^http", printed)
    assert.equal("", told)
  end)

  it("says what is missing in an environment that names half an account", function()
    assert.equal("config\n", (run "DAYTONA_JWT_TOKEN=a.b.c"))
  end)
end)
