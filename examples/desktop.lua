-- A desktop in a sandbox: started, used by mouse, and kept as pictures before and after. Where a
-- sandbox has no desktop, it says so.
--
--   lua5.4 examples/desktop.lua [FOLDER]

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local folder = arg[1] or "."

  local function keep(sb, name)
    local path = folder .. "/" .. name .. ".png"
    check(sb.computer.screenshot:full { cursor = true, save_as = path })
    print("kept " .. path)
  end

  daytona.using(check(client:create { labels = { example = "desktop" } }), function(sb)
    local started, err = sb.computer:start()
    if not started then
      print("no desktop here: " .. tostring(err))
      return
    end
    -- Any program with a window will do; this one is nearly everywhere.
    local window = check(sb:popen("xmessage -geometry 300x100+40+40 'hello from Lua'", { stderr = "stdout" }))
    daytona.sleep(1)
    keep(sb, "before")
    -- Its button: a click closes the window.
    check(sb.computer.mouse:click(62, 128))
    daytona.sleep(0.5)
    keep(sb, "after")
    window:kill()
  end)
end)
