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

  it("that is for another Lua is passed by, and named where there is none for this one", function()
    local folder = os.tmpname()
    os.remove(folder)
    -- A library that asks for a function of a Lua that there is not.
    output(("mkdir -p %s/so/daytona && cp -r lua %s"):format(folder, folder))
    local source = "int lua_of_another(void); int luaopen_daytona_core(void) { return lua_of_another(); }"
    assert.equal("", output(("echo '%s' | ${CC:-cc} -shared -fPIC -x c -o %s/so/daytona/core.so -")
      :format(source, folder)))
    local function found(lua_path)
      return output(("cd / && env -i PATH=\"$PATH\" LUA_PATH='%s/?.lua;' LUA_CPATH='%s/so/?.so;;' %s -e '%s'")
        :format(lua_path, folder, compat.name, [[print(require("daytona.base.native").version)]]))
    end
    local of_checkout, alone = found(here .. "/lua"), found(folder .. "/lua")
    output("rm -r " .. folder)
    assert.matches("^%d+%.%d+%.%d+\n$", of_checkout)
    assert.truthy(alone:find(folder .. "/so/daytona/core.so is for another Lua", 1, true), alone)
    assert.matches("make LUA=" .. compat.name:gsub("%p", "%%%0"), alone)
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
