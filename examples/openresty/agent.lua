-- Gives the request's body as a task to an agent and streams what it does as server-sent
-- events. A client that hangs up ends the agent, what it runs, and its sandbox.

local daytona = require "daytona"
local cjson = require "cjson"
local how_to = require "how_to"

local _M = {}

-- What a request may cost.
local LIMITS = { steps = 40, seconds = 600 }

-- What clients are told of an event.
local SHOWN = { "text", "id", "name", "arguments", "message", "reason", "answer", "steps" }

local function send(event)
  local shown = {}
  for _, field in ipairs(SHOWN) do shown[field] = event[field] end
  if event.result then shown.ok, shown.output = event.result.ok, event.result.text end
  if event.error then shown.error = tostring(event.error) end
  ngx.print("event: ", event.type, "\ndata: ", cjson.encode(shown), "\n\n")
  ngx.flush(true)
end

local function serve(task)
  local agent = daytona.assert(daytona.agent { tools = "coding", limits = LIMITS })
  for event in agent:run(task) do send(event) end
  return true
end

function _M.handle()
  ngx.req.read_body()
  local task = ngx.req.get_body_data()
  if ngx.req.get_method() ~= "POST" or not task then
    return how_to.tell "curl -N -d 'count the primes below 1000' http://127.0.0.1:8080/agent"
  end
  ngx.header["Content-Type"] = "text/event-stream"
  ngx.header["X-Accel-Buffering"] = "no"
  local work = daytona.spawn(serve, task)
  ngx.on_abort(function()
    work:cancel()
    work:wait()
    ngx.exit(499)
  end)
  local done, err = work:wait()
  if done or work.canceled then return end
  ngx.log(ngx.ERR, "the agent failed: ", tostring(err))
  send { type = "error", error = err }
end

return _M
