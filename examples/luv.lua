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

local work = daytona.spawn(function()
  return daytona.using(check(client:create { ephemeral = true }), function(sb)
    return daytona.map({ 1, 2, 3, 4, 5 }, function(i)
      return check(sb:exec(("sleep 0.%d; echo command %d"):format(i, i))).result
    end)
  end)
end)

-- Signals are libuv's here, and no business of daytona.trap: a task that is cancelled deletes
-- its sandbox before it ends.
local signals = {}
for i, name in ipairs { "sigint", "sigterm", "sighup" } do
  signals[i] = uv.new_signal()
  signals[i]:start(name, function() work:cancel() end)
end

local failed
daytona.spawn(function()
  local lines, err = work:wait()
  io.write(lines and table.concat(lines) or tostring(err) .. "\n")
  failed = err ~= nil
  timer:close()
  for _, signal in ipairs(signals) do signal:close() end
end)

uv.run()
print("meanwhile a timer of the program's own ran: " .. (ticks > 3 and "yes" or "no"))
print("in use: " .. daytona.driver())
os.exit(failed and 1 or 0, true)
