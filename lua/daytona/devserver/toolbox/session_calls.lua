--- The session calls: /process/session/...

local cqueues = require "cqueues"
local json = require "daytona.devserver.http.json"
local channel = require "daytona.devserver.toolbox.channel"
local environment = require "daytona.devserver.toolbox.environment"
local files = require "daytona.devserver.toolbox.files"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local session = require "daytona.devserver.toolbox.session"
local session_log = require "daytona.devserver.toolbox.session_log"
local text = require "daytona.devserver.toolbox.text"
local version = require "daytona.devserver.toolbox.version"

local calls = {}

-- Seconds between the end of a command and that of a followed log.
calls.follow_delay = 1

local ENTRYPOINT, ENTRYPOINT_COMMAND = "entrypoint", "entrypoint_command"

local function describe_command(command)
  command.told = command.exit_code ~= nil   -- an old daemon knows only then that it is over
  return { id = command.id, command = text.utf8(command.text), exitCode = command.exit_code }
end

local function describe(each)
  local commands = json.array {}
  for i, command in ipairs(each.commands) do commands[i] = describe_command(command) end
  return { sessionId = each.id, commands = commands }
end

local function find(req)
  local found = session.get(req.params.session)
  if not found then
    failures.code(404, "PROCESS_NOT_FOUND", "session not found")
  end
  return found
end

local function find_command(req)
  local command = find(req).by_id[req.params.command]
  if not command then
    failures.code(404, "PROCESS_NOT_FOUND", "command not found")
  end
  return command
end

local function refuse_entrypoint(id, message)
  if id == ENTRYPOINT then failures.raise(400, message) end
end

--- POST /process/session
function calls.create(req)
  local id = fields.read(req, { sessionId = "string!" }).sessionId
  refuse_entrypoint(id, "provided session ID is reserved and cannot be created/overridden")
  if id == "." or id == ".." or id:find "[/%z]" or #id > 200 then
    failures.raise(400, "invalid session id")
  elseif session.get(id) then
    failures.raise(409, "session already exists")
  end
  local cwd = version.starts_at_home(req) and environment.get "HOME" or nil
  local ok, err = session.create(id, cwd)
  if not ok then failures.raise(500, "failed to start session: " .. err) end
  return 201
end

--- GET /process/session
function calls.list()
  local list = json.array {}
  for _, each in ipairs(session.all()) do
    if each.id ~= ENTRYPOINT then list[#list + 1] = describe(each) end
  end
  return 200, list
end

--- GET /process/session/{session}
function calls.get(req)
  return 200, describe(find(req))
end

--- DELETE /process/session/{session}
function calls.delete(req)
  refuse_entrypoint(req.params.session, "can't delete entrypoint session")
  find(req):delete()
  return 204
end

-- A log as JSON, for clients that can have it so.
local function streams(raw)
  local out, err = session_log.split(raw)
  return { output = text.utf8(raw), stdout = text.utf8(out), stderr = text.utf8(err) }
end

-- What exec answers once a command is over.
local function outcome(req, command)
  local raw = session_log.read(command.log.path)
  local answer
  if version.wants_streams(req) then
    answer = streams(raw)
  else
    answer = { stdout = json.null, stderr = json.null,
      output = text.utf8(version.wants_prefixes(req) and raw or session_log.combined(raw)) }
  end
  answer.cmdId, answer.exitCode = command.id, command.exit_code
  command.told = true
  return answer
end

local function fail_exec(req, status, code, reason, legacy_reason)
  if req.app.legacy then
    failures.code(500, "INTERNAL_SERVER_ERROR", "failed to execute command: " .. legacy_reason)
  end
  failures.code(status, code, reason)
end

--- POST /process/session/{session}/exec
function calls.exec(req)
  req.legacy_shape = "empty"
  local f = fields.read(req, {
    command = "string!", runAsync = "boolean", async = "boolean", suppressInputEcho = "boolean",
  })
  req.legacy_shape = "envelope"
  refuse_entrypoint(req.params.session, "can't execute command in entrypoint session")
  local found = session.get(req.params.session)
  if not found then
    fail_exec(req, 404, "PROCESS_NOT_FOUND", "session not found", "not found: session not found")
  elseif found.ended then
    fail_exec(req, 410, "SESSION_ENDED", "the session's shell has ended",
      "bad request: failed to write command: write |1: broken pipe")
  end
  local async = f.runAsync or f.async or false
  local command = found:add(f.command, { async = async, echo = not f.suppressInputEcho })
  if async then
    return 202, { cmdId = command.id, output = json.null, stdout = json.null,
                  stderr = json.null, exitCode = json.null }
  end
  while not command.exit_code do command.changed:wait() end
  if found.deleted then
    failures.code(500, "INTERNAL_SERVER_ERROR",
      "failed to execute command: bad request: session cancelled")
  end
  return 200, outcome(req, command)
end

--- GET /process/session/{session}/command/{command}
function calls.command(req)
  return 200, describe_command(find_command(req))
end

-- The pipe is not there: not yet, or no longer.
local function fail_input(req, command)
  req.legacy_shape = "typed"
  failures.raise(500, ("failed to open input pipe: open %s/input.pipe: no such file or directory"):format(command.dir))
end

--- POST /process/session/{session}/command/{command}/input
function calls.input(req)
  refuse_entrypoint(req.params.session, "can't send input to entrypoint session")
  local data = fields.read(req, { data = "string!" }).data
  local found, command = find(req), find_command(req)
  if data:sub(-1) ~= "\n" then data = data .. "\n" end
  if not command.exit_code and command.input and cqueues.monotime() < command.input_from then
    fail_input(req, command)
  end
  if command.exit_code == nil and not command.input then
    failures.raise(400, "a synchronous command has no input")
  elseif command.exit_code or not found:feed(command, data) then
    if req.app.legacy and not command.told then fail_input(req, command) end
    failures.code(410, "COMMAND_ALREADY_COMPLETED",
      ("command has already completed with exit code %s"):format(command.exit_code or "unknown"))
  end
  return 204
end

local snapshots = 0

-- An old daemon sends a snapshot and its close in a race, which the data now and then
-- loses: here one time in five.
local function loses_race(req)
  if not req.app.legacy or req.query.follow == "true" then return false end
  snapshots = snapshots + 1
  return snapshots % 5 == 0
end

local function stream_logs(req, command, prefixes)
  local _, token = version.of(req)
  local socket = channel.open(req, { protocols = token and { token } })
  socket:ignore_messages()
  if loses_race(req) then return socket:close(1000, "") end
  session_log.follow(socket, command.log, {
    follow = req.query.follow == "true", prefixes = prefixes, delay = calls.follow_delay,
  })
  socket:close(1000, "")
end

local function logs(req, command, always_prefixes)
  if req.headers.upgrade == "websocket" then
    return stream_logs(req, command, always_prefixes or version.wants_prefixes(req))
  end
  local raw = session_log.read(command.log.path)
  if version.wants_streams(req) then return 200, streams(raw) end
  return 200, (version.wants_prefixes(req) or always_prefixes) and raw or session_log.combined(raw),
    { ["content-type"] = "text/plain; charset=utf-8" }
end

--- GET /process/session/{session}/command/{command}/logs, also as a WebSocket
function calls.logs(req)
  return logs(req, find_command(req), false)
end

--- GET /process/session/entrypoint/logs
function calls.entrypoint_logs(req)
  req.params.session = ENTRYPOINT
  return logs(req, find(req).by_id[ENTRYPOINT_COMMAND], true)
end

--- GET /process/session/entrypoint
function calls.entrypoint(req)
  req.params.session = ENTRYPOINT
  return 200, describe(find(req))
end

--- Runs the program a sandbox was started with.
---@param script string
function calls.start_entrypoint(script)
  files.remove_tree(environment.get "HOME" .. "/.daytona/sessions/" .. ENTRYPOINT)   -- of the start before
  local found = session.create(ENTRYPOINT)
  local command = found and found:add(script, { async = false, echo = false })
  if command then
    found.by_id[command.id] = nil
    command.id = ENTRYPOINT_COMMAND
    found.by_id[ENTRYPOINT_COMMAND] = command
  end
end

return calls
