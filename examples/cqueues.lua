-- Commands in the threads of a cqueues controller, beside the program's own
-- threads. In a server on lua-http the handlers are such threads.
--
--   lua5.4 examples/cqueues.lua

local cqueues = require "cqueues"
local daytona = require "daytona"
local check = daytona.assert

local function work(controller, sb)
  local left, ticks = 5, 0
  for i = 1, 5 do
    controller:wrap(function()
      local result = check(sb:exec(("sleep 0.%d; echo command %d"):format(i, i)))
      io.write(result.result)
      left = left - 1
    end)
  end
  controller:wrap(function()
    while left > 0 do
      cqueues.sleep(0.05)
      ticks = ticks + 1
    end
  end)
  assert(controller:loop())
  print("meanwhile a thread of the program's own ran: " .. (ticks > 3 and "yes" or "no"))
  print("in use: " .. daytona.driver())
end

-- Outside threads calls block, as `create` does here, and what deletes the sandbox at the end:
-- whether the loop came to its end, failed, or was interrupted by Ctrl-C or SIGTERM.
daytona.main(function()
  local client = check(require("daytona.devserver").client())
  daytona.using(check(client:create { ephemeral = true }), function(sb) work(cqueues.new(), sb) end)
end)
