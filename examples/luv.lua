-- Tasks inside uv.run(), beside the program's own timers and sockets. When the
-- last of both is done, uv.run() ends.
--
--   lua5.4 examples/luv.lua

local uv = require "luv"
local daytona = require "daytona"
local check = daytona.assert
local client = check(require("daytona.devserver").client())

local ticks, timer = 0, uv.new_timer()
timer:start(50, 50, function() ticks = ticks + 1 end)

daytona.spawn(function()
  daytona.using(check(client:create { ephemeral = true }), function(sb)
    local lines = check(daytona.map({ 1, 2, 3, 4, 5 }, function(i)
      return check(sb:exec(("sleep 0.%d; echo command %d"):format(i, i))).result
    end))
    io.write(table.concat(lines))
  end)
  timer:close()
end)

uv.run()
print("meanwhile a timer of the program's own ran: " .. (ticks > 3 and "yes" or "no"))
print("in use: " .. daytona.driver())
