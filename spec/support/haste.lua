-- Runs a function in a hurry: what the client sleeps between tries and looks is at most
-- 20 ms meanwhile. For specs of what happens in the end, not of when.
--
--   local haste = require "spec.support.haste"
--   haste(function() ... end)
--   it("...", haste.case(function() ... end))    all of a case

local loop = require "daytona.loop"

local LONGEST = 0.02

local function haste(fn)
  local sleep = loop.sleep
  loop.sleep = function(seconds) return sleep(math.min(seconds, LONGEST)) end -- luacheck: ignore 122
  local ok, err = pcall(fn)
  loop.sleep = sleep -- luacheck: ignore 122
  if not ok then error(err, 0) end
end

local function case(fn)
  return function() haste(fn) end
end

return setmetatable({ case = case }, { __call = function(_, fn) return haste(fn) end })
