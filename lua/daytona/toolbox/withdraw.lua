-- Withdrawing what was asked for in a sandbox and given up.

local errors = require "daytona.base.errors"
local loop = require "daytona.loop"

-- Seconds between looks for what nobody waits for any more.
local LOOKS = { 0.05, 0.2, 0.5 }

---Ends what was asked for and given up. The request that makes it may still be on its
---way, so that what is not there is looked for again, a few times.
---@param attempt fun(): any, daytona.Error?  ends it
return function(attempt)
  for i = 0, #LOOKS do
    if i > 0 then loop.sleep(LOOKS[i]) end
    local done, err = attempt()
    if done or not errors.is(err, "not_found") then return end
  end
end
