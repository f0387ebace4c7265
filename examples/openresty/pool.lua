-- The pool of sandboxes of a worker: made when they are first needed, looked at before
-- they are used again, replaced when they fail, deleted when the worker exits. What a
-- program leaves in a sandbox the next one finds there.

local daytona = require "daytona"

local _M = {}

-- Seconds that a caller waits for a sandbox to become free.
local PATIENCE = 30

-- Should nobody delete it, as the server was killed, the service does, after so many minutes without use.
local SANDBOX = { language = "python", auto_stop_interval = 15, ephemeral = true }

-- The label by which a worker finds its own.
local function name_of_worker()
  local file = assert(io.open("/dev/urandom", "rb"))
  local name = file:read(8):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  file:close()
  return name
end

local A_YEAR = 365 * 24 * 3600

local pool

-- A timer that has not run out is called when the worker exits by `nginx -s quit`: programs
-- that run may finish.
local function wait_for_exit()
  ngx.timer.at(A_YEAR, function(premature)
    if premature then pool:close { drain = true } else wait_for_exit() end
  end)
end

---Allows `size` sandboxes in this worker. For init_worker_by_lua.
function _M.start(size)
  SANDBOX.labels = { nginx_worker = name_of_worker() }
  pool = daytona.assert(daytona.client()):pool { size = 0, max = size, max_idle = size, create = SANDBOX }
  wait_for_exit()
end

---Deletes what there still is, also the sandboxes of programs that run. For exit_worker_by_lua,
---where calls block; `nginx -s stop` comes here, too, lets nobody finish, and gives a worker
---about a second.
function _M.stop()
  if not pool then return end
  local client = daytona.assert(daytona.client())
  for sandbox in client:each { labels = SANDBOX.labels } do
    local deleted, err = client:delete(sandbox, { missing_ok = true, wait = false })
    if not deleted then ngx.log(ngx.ERR, tostring(err)) end
  end
end

---A sandbox for this caller alone; nil and why when there is none.
function _M.take()
  if not pool then return nil, "there are no sandboxes here: the error log says why" end
  return pool:take(PATIENCE)
end

---Gives a sandbox back; one that failed is deleted.
function _M.give(sandbox, failed)
  pool:give(sandbox, { failed = failed })
end

return _M
