-- The pool of sandboxes of a worker: made when they are first needed, looked at before
-- they are used again, replaced when they fail, deleted when the worker exits. What a
-- program leaves in a sandbox the next one finds there.

local daytona = require "daytona"

local _M = {}

-- Seconds that a caller waits for a sandbox to become free.
local PATIENCE = 30

-- Should nobody delete it, the service does, after so many minutes without use.
local SANDBOX = { language = "python", auto_stop_interval = 15, ephemeral = true }

local A_YEAR = 365 * 24 * 3600

local pool

-- A timer that has not run out is called when the worker exits: programs that run may
-- finish. A server that is killed does not come here; the service then cleans up.
local function wait_for_exit()
  ngx.timer.at(A_YEAR, function(premature)
    if premature then pool:close { drain = true } else wait_for_exit() end
  end)
end

---Allows `size` sandboxes in this worker. For init_worker_by_lua.
function _M.start(size)
  pool = daytona.assert(daytona.client()):pool { size = 0, max = size, max_idle = size, create = SANDBOX }
  wait_for_exit()
end

---A sandbox for this caller alone; nil and why when there is none.
function _M.take()
  return pool:take(PATIENCE)
end

---Gives a sandbox back; one that failed is deleted.
function _M.give(sandbox, failed)
  pool:give(sandbox, { failed = failed })
end

return _M
