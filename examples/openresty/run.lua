-- Runs the request's body as Python in a sandbox and streams what it prints. A
-- client that hangs up stops its program.

local daytona = require "daytona"
local how_to = require "how_to"
local pool = require "pool"

local _M = {}

-- Seconds that a program may run.
local LIMIT = 120

local function follow(session)
  local command = daytona.assert(session:exec("python3 -u program.py", { async = true }))
  local follower = daytona.assert(command:follow { timeout = LIMIT })
  local stream, chunk = follower:read()
  while stream do
    ngx.print(chunk)
    ngx.flush(true)
    stream, chunk = follower:read()
  end
  if chunk then daytona.assert(nil, chunk) end -- an error, no end
  if follower.exit_code ~= 0 then ngx.print("[exit ", follower.exit_code, "]\n") end
end

-- The end of a session ends what runs in it, also when this task is cancelled.
local function run(sandbox, code)
  daytona.assert(sandbox.fs:write("program.py", code))
  daytona.using(daytona.assert(sandbox:session()), follow)
  return true
end

-- A task, so that it can be cancelled. A sandbox goes back only when its program
-- has come to its end.
local function serve(code)
  local sandbox, why = pool.take()
  if not sandbox then
    ngx.status = 503
    ngx.say(tostring(why))
    return
  end
  local task = daytona.spawn(run, sandbox, code)
  local ran, err = task:wait()
  pool.give(sandbox, not ran)
  if not ran and not task.canceled then
    ngx.log(ngx.ERR, "a program could not be run: ", tostring(err))
    if not ngx.headers_sent then ngx.status = 502 end
    ngx.say("[", tostring(err), "]")
  end
end

function _M.handle()
  ngx.req.read_body()
  local code = ngx.req.get_body_data()
  if ngx.req.get_method() ~= "POST" or not code then
    return how_to.tell "curl -N --data-binary @program.py http://127.0.0.1:8080/run"
  end
  ngx.header["Content-Type"] = "text/plain; charset=utf-8"
  ngx.header["X-Accel-Buffering"] = "no"
  local task = daytona.spawn(serve, code)
  ngx.on_abort(function()
    task:cancel()
    task:wait()
    ngx.exit(499)
  end)
  task:wait()
end

return _M
