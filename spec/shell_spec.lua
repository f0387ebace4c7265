-- examples/shell.lua, as a person at a terminal has it: in tmux.

local name = require("daytona.base.compat").name

local sh = require("spec.support.toolbox").sh

if sh "command -v tmux" == "" then
  describe("a shell in a sandbox", function()
    it("feels like one here", function() pending "tmux is not installed here" end)
  end)
  return
end

describe("a shell in a sandbox", function()
  local folder, tmux

  before_each(function()
    folder = sh "mktemp -d":match "%S+"
    tmux = ("TMUX= TMUX_TMPDIR=%s tmux -f /dev/null -L spec "):format(folder)
    os.execute(tmux .. ([[new-session -d -x 80 -y 24 "env -u DAYTONA_API_KEY -u DAYTONA_API_URL]]
      .. [[ LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/%s/?.so;;' %s examples/shell.lua;]]
      .. [[ echo status \$?; stty -a | grep -o ' -*echo '; exec cat"]]):format(name, name))
  end)
  after_each(function()
    os.execute(tmux .. "kill-server")
    os.execute("rm -rf " .. folder)
  end)

  local function keys(...)
    for _, each in ipairs { ... } do os.execute(tmux .. "send-keys " .. each) end
  end

  -- What the screen shows, once that matches.
  local function screen(pattern)
    local text
    for _ = 1, 400 do
      text = sh(tmux .. "capture-pane -p"):gsub("\n+$", "\n")
      if text:find(pattern) then return text end
      sh "sleep 0.05"
    end
    error("no " .. pattern .. " on the screen:\n" .. text)
  end

  it("has the terminal's size, follows it, passes keys on, and gives the terminal back", function()
    screen "%$%s*$"
    keys "'stty size' Enter"
    screen "\n24 80\n"
    os.execute(tmux .. "resize-window -x 100 -y 30")
    keys "'until [ \"$(stty size)\" = \"30 100\" ]; do sleep 0.05; done; echo re''sized' Enter"
    screen "\nresized\n"
    keys "'sleep 1000' Enter"
    screen "sleep 1000\n"
    keys "C-c"
    screen "%^C\n.*%$%s*$"
    keys("'echo is~.teree' Left BSpace Enter") -- a ~. within a line is nothing special
    screen "\nis~%.tere\n"
    keys "'exit 7' Enter"
    local text = screen "status %d+\n echo"
    assert.is_truthy(text:find("the sandbox is gone\nstatus 7\n echo", 1, true), text)
  end)

  it("is left with Enter ~ .", function()
    screen "%$%s*$"
    keys "'sh -c \"echo he\"\"re; exec cat\"' Enter" -- it says so when the shell has let go of the terminal
    screen "\nhere\n"
    keys "'~~' Enter"
    screen "\n~\n~\n"
    keys "'~.'"
    local text = screen "status %d+\n echo"
    assert.is_truthy(text:find "disconnected %(canceled%).*the sandbox is gone\nstatus 1\n echo", text)
  end)
end)

describe("pty:interact", function()
  it("needs a terminal", function()
    local service = require("spec.support.service").start()
    local sandbox = assert(service.client:create())
    local pty = assert(sandbox:pty())
    local program = [[
      local daytona = require "daytona"
      local client = daytona.new()
      local pty = daytona.assert(client:get(arg[1]):pty(arg[2]))
      print(pty:interact())
      daytona.spawn(function() print(pcall(pty.interact, pty)) end)
    ]]
    local text = sh(("DAYTONA_API_URL='%s' DAYTONA_API_KEY='%s' LUA_PATH='./lua/?.lua;./lua/?/init.lua;;'"
      .. " LUA_CPATH='./build/%s/?.so;;' %s - '%s' '%s' 2>&1 <<'EOF'\n%s\nEOF"):format(
      service.server.api_url, service.server.api_key, name, name, sandbox.id, pty.id, program))
    assert.is_truthy(text:find "standard input is not a terminal.*%(io%)", text)
    assert.is_truthy(text:find "false\t.*not in a task", text)
    pty:close()
    sandbox:delete()
    service:stop()
  end)
end)
