-- What may be done twice, even at once, because it finds out itself what is done already: it
-- is done again where its answer was lost, or did not come for so long that the line must
-- be dead.

local calls = require "daytona.toolbox.fs.calls"
local fetch = require "daytona.toolbox.fs.fetch"

local repeatable = {}

---Calls `fn(tries)`, which gives a result, or nil and an error, until the answer to one call
---was not lost: its result, and the error of the try before, if there was one; or nil, err.
---@generic T
---@param sandbox daytona.Sandbox
---@param fn fun(tries: integer): T?, daytona.Error?
---@param clock daytona.Pace
---@return T?
---@return daytona.Error?
function repeatable.call(sandbox, fn, clock)
  local connection = sandbox:toolbox()
  local most, tries, before = connection and connection.max_retries or 0, 0, nil
  while true do
    local result, err = fn(tries)
    if result ~= nil then return result, before end
    ---@cast err -nil
    tries, before = tries + 1, err
    if not fetch.BROKEN[err.code] or tries > most then return nil, err end
    local fine, why = clock:try_again(tries, err)
    if not fine then return nil, why end
  end
end

-- Seconds that a command may take before its line is taken for dead, which is asked for
-- twice as long each time: a slow one is ended too early only once or twice.
local function patience(connection, clock, late)
  local idle, left = clock.idle or calls.TRANSFER_IDLE, clock:left()
  local again = connection and connection.max_retries > 0
  local limit = again and idle > 0 and idle * 2 ^ late or nil
  if not limit or left and left <= limit then return left, true end
  return limit, false
end

---Runs the command `script_of(tries)` as `call` does. The result is one of `exec`.
---@param sandbox daytona.Sandbox
---@param script_of fun(tries: integer): string
---@param clock daytona.Pace
---@return daytona.ExecResult?
---@return daytona.Error?
function repeatable.exec(sandbox, script_of, clock)
  local late, before = 0, nil
  local result, err = repeatable.call(sandbox, function(tries)
    while true do
      local limit, is_last = patience(sandbox:toolbox(), clock, late)
      local result, err = sandbox:exec(script_of(tries + late), { timeout = limit })
      if result and not result.timed_out then return result end
      if err and err.code ~= "timeout" then return nil, err end
      if is_last then return clock:over() end
      late, before = late + 1, err or select(2, clock:over())
    end
  end, clock)
  return result, err or before
end

return repeatable
