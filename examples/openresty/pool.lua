-- A small pool of sandboxes, one a worker: made when they are first needed, looked
-- at before they are used again, replaced when they fail, deleted when the worker
-- exits. What a program leaves in a sandbox the next one finds there.

local daytona = require "daytona"
local semaphore = require "ngx.semaphore"

local _M = {}

-- Seconds that a caller waits for a sandbox to become free.
local PATIENCE = 30

-- Should nobody delete it, the service does, after so many minutes without use.
local SANDBOX = { language = "python", auto_stop_interval = 15, ephemeral = true }

local A_YEAR = 365 * 24 * 3600

local idle = {}
local free -- a semaphore: how many may still be taken

-- In a timer: nobody waits for it, and no cancelled request cuts it short.
local function discard(sandbox)
  ngx.timer.at(0, function()
    local gone, err = sandbox:delete()
    if not gone then ngx.log(ngx.ERR, "a sandbox was not deleted: ", tostring(err)) end
  end)
end

-- A server that is killed does not come here; the service then cleans up.
local function empty()
  while idle[1] do discard(table.remove(idle)) end
end

-- A timer that has not run out is called when the worker exits.
local function wait_for_exit()
  ngx.timer.at(A_YEAR, function(premature)
    if premature then empty() else wait_for_exit() end
  end)
end

---Allows `size` sandboxes in this worker. For init_worker_by_lua.
function _M.start(size)
  free = semaphore.new(size)
  wait_for_exit()
end

local function is_healthy(sandbox)
  local result = sandbox:exec("true", { timeout = 5 })
  return result and result.exit_code == 0
end

local function get()
  while idle[1] do
    local sandbox = table.remove(idle)
    if is_healthy(sandbox) then return sandbox end
    discard(sandbox)
  end
  return daytona.create(SANDBOX)
end

---A sandbox for this caller alone; nil and why when there is none.
function _M.take()
  if not free:wait(PATIENCE) then return nil, "all sandboxes are busy" end
  local sandbox, err = get()
  if not sandbox then free:post(1) end
  return sandbox, err
end

---Gives a sandbox back; one that failed is deleted.
function _M.give(sandbox, failed)
  if failed then
    discard(sandbox)
  else
    idle[#idle + 1] = sandbox
    if ngx.worker.exiting() then empty() end
  end
  free:post(1)
end

return _M
