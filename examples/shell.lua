-- A shell in a sandbox, as with ssh: the terminal is raw, its size follows, and
-- the exit status is the shell's. Enter ~ . leaves at once.
--
--   lua5.4 examples/shell.lua              in a new sandbox, deleted at the end
--   lua5.4 examples/shell.lua my-sandbox   in one that is there

local daytona = require "daytona"
local check = daytona.assert

-- Whatever ends this program (kill, a closed window) ends its sandbox, without a further word.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local status = 1 -- of this program: the shell's

  local function shell(sandbox)
    io.stderr:write("\27[2m", sandbox.name, ": Ctrl-D ends the shell, Enter ~ . leaves at once\27[0m\n")
    return daytona.using(check(sandbox:pty { env = { TERM = os.getenv "TERM" or "xterm-256color" } }), function(pty)
      local code, why = pty:interact()
      if not code then io.stderr:write("\n", tostring(why), "\n") end
      status = code or 1
    end)
  end

  local name = arg[1]
  if name then
    shell(check(check(client:get(name)):ensure_started()))
  else
    local sandbox = check(client:create { labels = { example = "shell" } })
    daytona.using(sandbox, shell)
    print(sandbox.state == "destroying" and "the sandbox is gone" or "not deleted: " .. tostring(sandbox))
  end
  return status
end)
