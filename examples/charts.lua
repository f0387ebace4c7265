-- Runs code that draws with matplotlib, and keeps the pictures. Where a sandbox
-- has no matplotlib, it says so.
--
--   lua5.4 examples/charts.lua [FOLDER]

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  local folder = arg[1] or "."

  local CODE = [[
import matplotlib.pyplot as plt

plt.bar(["Lua", "C"], [80, 20])
plt.title("What it is made of")
plt.ylabel("percent")
plt.show()

plt.plot([1, 2, 3, 4], [1, 4, 9, 16])
plt.title("Squares")
plt.show()
]]

  local kept = daytona.using(check(client:create { language = "python" }), function(sb)
    local result = check(sb:run(CODE))
    if result.exit_code ~= 0 then
      print("the code ended with exit code " .. result.exit_code .. ":")
      print(result.result)
      if result.result:find "matplotlib" then
        print "A sandbox of the local server has this machine's Python: on Debian, apt install python3-matplotlib."
      end
      return false
    end
    for i, chart in ipairs(result.artifacts.charts) do
      local path = check(chart:save(("%s/chart-%d.png"):format(folder, i)))
      print(tostring(chart) .. " -> " .. path)
    end
    return true
  end)
  return kept and 0 or 1
end)
