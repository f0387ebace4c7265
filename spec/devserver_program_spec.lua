-- `daytona-devserver -- PROGRAM`: a server for one program.

local compat = require "daytona.base.compat"
local shell = require "daytona.base.shell"

local DEVSERVER = "env DAYTONA_JWT_TOKEN=x.y.z LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/"
  .. compat.name .. "/?.so;;' bin/daytona-devserver"

-- What a shell's command prints, and its exit status.
local function run(command)
  local pipe = io.popen(command .. "; echo \" $?\"")
  local text, status = pipe:read("*a"):match "^(.*) (%d+)\n$"
  pipe:close()
  return text, tonumber(status)
end

local function is_gone(url)
  local _, status = run("curl -s -o /dev/null -m 5 " .. url .. "/config")
  return status == 7
end

describe("a server for one program", function()
  it("sets what the program needs, and ends with it", function()
    local text, status = run(("%s --time-scale 10 -- %s -e %s a 'b c'"):format(DEVSERVER, compat.name, shell.quote [[
      local daytona = require "daytona"
      local sandbox = daytona.assert(daytona.create())
      print(daytona.assert(sandbox:exec "echo from inside").result)
      daytona.assert(sandbox:delete())
      print(os.getenv "DAYTONA_API_URL", os.getenv "DAYTONA_JWT_TOKEN", os.getenv "LUA_PATH")
      os.exit(7, true)
    ]]))
    local url, path = text:match "^from inside\n\n(%S+)\tnil\t(%S+)\n$"
    assert.equal("./lua/?.lua;./lua/?/init.lua;;", path, text)
    assert.equal(7, status)
    assert.is_true(is_gone(url))
  end)

  it("gives it its arguments and its standard input as they are", function()
    local text, status = run(([[printf 'a\nb' | %s -- sh -c 'cat; printf "<%%s>" "$@"' sh 'x y' '' --help]])
      :format(DEVSERVER))
    assert.equal("a\nb<x y><><--help>", text)
    assert.equal(0, status)
    assert.equal(0, select(2, run(DEVSERVER .. " -- true <&-")))
  end)

  it("hands on how it ended", function()
    assert.equal(137, select(2, run(DEVSERVER .. " -- sh -c 'kill -KILL $$' 2>/dev/null")))
    local text, status = run(DEVSERVER .. " -- ./no/such/program 2>&1")
    assert.equal(127, status)
    assert.truthy(text:find("cannot run ./no/such/program", 1, true), text)
    assert.equal(126, select(2, run(DEVSERVER .. " -- ./spec 2>/dev/null")))
  end)

  it("hands on signals, and waits for its end", function()
    local text, status = run(([[%s -- sh -c 'trap "echo cleaned up; exit 3" TERM; echo $PPID; kill -TERM $PPID
      while :; do sleep 0.02; done']]):format(DEVSERVER))
    assert.equal(3, status)
    assert.truthy(text:find("\ncleaned up\n$"), text)
  end)

  it("leaves Ctrl-C to it", function()
    local text, status = run(([[%s -- sh -c 'trap "echo interrupted; exit 4" INT; kill -INT $PPID
      curl -sf -o /dev/null $DAYTONA_API_URL/config && echo still there; kill -INT $$; sleep 5']]):format(DEVSERVER))
    assert.equal("still there\ninterrupted\n", text)
    assert.equal(4, status)
  end)

  it("is not started without one", function()
    for arguments, reason in pairs {
      ["--"] = "a program must follow --", ["--child -- true"] = "--child starts no program",
      ["--frob -- true"] = "unknown option: --frob", ["lua5.4 prog.lua"] = "a program follows --: -- lua5.4 prog.lua",
    } do
      local text, status = run(DEVSERVER .. " " .. arguments .. " 2>&1")
      assert.equal(2, status)
      assert.truthy(text:find(reason, 1, true), text)
    end
  end)
end)
