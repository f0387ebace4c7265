-- The daemon's call that runs a command, and the shortest way to make it: a body joined by
-- hand, and one exchange that costs no table. It is the call that is made most. What it
-- is asked and what its answer means is said in process.lua.
--
-- The daemon feeds a command to its shell's standard input, answers when it has ended, and
-- lets it run on when the caller goes away. So a command has a mark in its environment, by
-- which it is found and ended when its caller gave up.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"

local exec_call = {}

-- Marks every process of a command, in its environment.
exec_call.MARKER = "DAYTONA_EXEC_ID"

local MARKER = exec_call.MARKER

-- Seconds that a command may run when nothing is said, and how much longer the client waits
-- than the daemon, whose word about a timeout is the better one.
exec_call.DEFAULT_TIMEOUT, exec_call.GRACE = 600, 5

local json_string, new_id = core.json_string, core.unique
local exchange = loop.exchange

--- The call -------------------------------------------------------------------------------

local EXECUTE = { "POST", "/process/execute", "object", as_is = true, raw = true }

-- The table of calls here, for those who count endpoints.
exec_call.rows = { execute = EXECUTE }

local execute -- made with its first use: `exec` itself needs it only to end a command

---Runs a command: `{ command =, timeout =, cwd =, envs = }`, with the wire's names.
---@param subject table
---@param values table
---@param request? table
---@return table?
---@return daytona.Error?
function exec_call.execute(subject, values, request)
  execute = execute or require("daytona.toolbox.calls").of_daemon(exec_call.rows).execute
  return execute(subject, values, request)
end

local KILL_TIMEOUT = 6

---Ends a command whose caller is gone: the `on_abandon` of requests that have an `exec_id`,
---called shielded, so it may wait. Notes in `stopped` whether the command is known to have
---been ended.
---@param _ any
---@param request table
function exec_call.stop(_, request)
  local script = require "daytona.toolbox.stop_script"(MARKER .. "=" .. request.exec_id)
  request.stopped = exec_call.execute(request.sandbox, { command = script, timeout = KILL_TIMEOUT - 1 }, {
    operation = "stop command", timeout = KILL_TIMEOUT,
  }) ~= nil
end

--- The body -------------------------------------------------------------------------------

local ENVS = ',"envs":{"' .. MARKER .. '":"'

-- What stands around a command that is like most, up to its id.
exec_call.BEFORE, exec_call.AFTER = '{"command":"eval \'', '\' </dev/null"' .. ENVS

local function directory(cwd)
  local text = json_string(cwd)
  if not text then errors.misuse(1, "exec: option 'cwd' is not valid UTF-8") end
  return ',"cwd":' .. text
end

---What follows the id in a body.
---@param seconds integer  0: no limit
---@param env? table<string, string>
---@param cwd? string
---@return string
function exec_call.rest(seconds, env, cwd)
  local text = '"'
  for name, value in pairs(env or {}) do text = text .. ',"' .. name .. '":' .. json_string(value) end
  return text .. "}" .. (seconds > 0 and string.format(',"timeout":%d', seconds) or "")
    .. (cwd and directory(cwd) or "") .. "}"
end

---The body for a command, if it is one and like most; else nil.
---@param command any
---@param rest string
---@return string?
function exec_call.body(command, rest)
  return core.json_command(exec_call.BEFORE, command, exec_call.AFTER, rest)
end

---The body for a script.
---@param script string  UTF-8
---@param rest string
---@return string
function exec_call.script_body(script, rest)
  return '{"command":' .. json_string(script) .. ENVS .. new_id() .. rest
end

local BEFORE_ID = '"' .. MARKER .. '":"'

-- The id in a body. In the command before it no quotation mark stands alone. (A pattern would
-- take milliseconds to come to the end of a long one.)
local function id_in(body)
  local _, last = body:find(BEFORE_ID, 1, true)
  return body:match('^[^"]+', last + 1)
end

--- Sending --------------------------------------------------------------------------------

-- What the daemon answers when nothing is unusual.
local USUAL = { path = EXECUTE[2], number = "exitCode", text = "result" }

-- What all requests of `exec` have in common.
local Request = {
  method = EXECUTE[1], path = EXECUTE[2], endpoint = USUAL, answer = EXECUTE[3], operation = "exec",
  body_is_json = true, on_abandon = exec_call.stop,
}
Request.__index = Request

---The request that a body is, for errors and for what `send` could not finish.
---@param sandbox daytona.Sandbox
---@param body string
---@param patience number  seconds; 0 for none
---@param about? { cwd?: string, secrets?: string[], max_bytes?: integer }
---@return table
function exec_call.request(sandbox, body, patience, about)
  local request = setmetatable({
    sandbox = sandbox, body = body, timeout = patience, exec_id = id_in(body),
  }, Request)
  for name, value in pairs(about or {}) do request[name] = value end
  return request
end

-- The thread of the host that waited for a short call is no more.
local function lost(op)
  op.request = exec_call.request(op.subject, op.body, 0)
  http.lost(op)
end

---Sends a body. Exit code and output of an answer that is nothing unusual; else nil, and
---the response, or nil and an error; then the request. A command is never sent twice.
---@param sandbox daytona.Sandbox
---@param body string
---@param patience number
---@param about? { cwd?: string, secrets?: string[], max_bytes?: integer }
---@return integer?
---@return string|daytona.Response|nil
---@return daytona.Error?
---@return table?
function exec_call.send(sandbox, body, patience, about)
  local connection, err = sandbox._toolbox
  -- Has anything changed of what toolbox() looked at?
  if not connection or connection.state ~= sandbox.state or connection.address ~= sandbox.toolbox_proxy_url
    or sandbox.client.closed then
    methods.check(sandbox, "exec", "daytona.Sandbox", "sandbox")
    connection, err = sandbox:toolbox()
    if not connection then return nil, nil, err, exec_call.request(sandbox, body, patience, about) end
  end
  local call = connection.calls[USUAL] or http.call(connection, USUAL)
  local status, first, output
  if call then
    status, first, output = exchange(call, body, patience, about and about.max_bytes or connection.max_bytes,
      lost, sandbox)
  end
  if output then return first, output end
  local request = exec_call.request(sandbox, body, patience, about)
  local response
  if status then
    response, err = http.answer(connection, request, status, first)
  else
    response, err = http.request(connection, request, first)
  end
  if err then err = require "daytona.toolbox.refused"(err) end
  return nil, response, err, request
end

return exec_call
