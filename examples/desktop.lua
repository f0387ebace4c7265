-- A desktop in a sandbox: started, used by mouse, and kept as pictures before and after. Where a
-- sandbox has no desktop, it says so.
--
--   lua5.4 examples/desktop.lua [FOLDER]

local daytona = require "daytona"
local check = daytona.assert
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
  local window = check(sb:popen("xmessage -geometry 300x100+40+40 -buttons hello:0", { stderr = "stdout" }))
  daytona.sleep(1)
  keep(sb, "before")
  check(sb.computer.mouse:move(60, 110))
  daytona.sleep(0.2)
  keep(sb, "after")
  window:kill()
end)
