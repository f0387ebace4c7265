-- Finding the C module: a checkout works with nothing but its lua folder on the
-- path, and one that is not built says what to do.

local compat = require "daytona.base.compat"

local function output(command)
  local pipe = assert(io.popen(command .. " 2>&1", "r"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function run(folder, lua_path)
  local program = [[print(require("daytona.base.native").version)]]
  return output(("cd %s && env -i PATH=\"$PATH\" LUA_PATH='%s/?.lua;' %s -e '%s'"):format(
    folder, lua_path, compat.name, program))
end

describe("the C module", function()
  local here = output("pwd"):gsub("%s+$", "")

  it("is found in the checkout, from wherever the program runs", function()
    assert.matches("^%d+%.%d+%.%d+\n$", run("/", here .. "/lua"))
    assert.matches("^%d+%.%d+%.%d+\n$", run(here, "./lua"))
    assert.matches("^%d+%.%d+%.%d+\n$", run(here, "lua"))
  end)

  it("says how to build it when it is missing", function()
    local folder = os.tmpname()
    os.remove(folder)
    output(("mkdir -p %s/lua/daytona && cp -r lua/daytona/base %s/lua/daytona"):format(folder, folder))
    local text = run("/", folder .. "/lua")
    output("rm -r " .. folder)
    assert.matches("make LUA=" .. compat.name:gsub("%p", "%%%0"), text)
    assert.matches("is not built for this Lua", text)
  end)
end)
