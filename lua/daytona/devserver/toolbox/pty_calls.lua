--- The terminal calls: /process/pty/...

local json = require "daytona.devserver.http.json"
local base64 = require "daytona.devserver.base64"
local channel = require "daytona.devserver.toolbox.channel"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local pty = require "daytona.devserver.toolbox.pty"
local text = require "daytona.devserver.toolbox.text"
local version = require "daytona.devserver.toolbox.version"
local unistd = require "posix.unistd"

local calls = {}

local MOST_CELLS = 1000          -- columns or rows
local LARGEST_INPUT = 65536      -- bytes of one message
local DEFAULT_COLS, DEFAULT_ROWS = 80, 24
local EXIT_CONTROL = "X-Daytona-Pty-Exit-Control"

local function describe(each)
  return {
    id = each.id, cwd = each.cwd or unistd.getcwd(), envs = each.envs, cols = each.cols,
    rows = each.rows, createdAt = text.rfc3339(each.created), active = each.active,
    lazyStart = each.lazy,
  }
end

local function find(req)
  local found = pty.get(req.params.id)
  if not found then failures.code(404, "PROCESS_NOT_FOUND", "PTY session not found") end
  return found
end

local function check_size(name, value, briefly)
  if value and (value > MOST_CELLS or value < 0) then
    if briefly then failures.raise(400, ("%s must be less than %d"):format(name, MOST_CELLS)) end
    failures.raise(400, ("invalid value for %s - must be less than %d"):format(name, MOST_CELLS))
  end
end

local function refuse_taken(id)
  if pty.get(id) then
    failures.raise(409, ("PTY session with ID '%s' already exists"):format(id))
  end
end

-- (an old daemon keeps 0)
local function size(value, default)
  return value and (value > 0 or pty.legacy) and value or default
end

local function new_terminal(f)
  return pty.create {
    id = f.id, cwd = f.cwd ~= "" and f.cwd or nil, envs = f.envs, lazy = f.lazyStart,
    cols = size(f.cols, DEFAULT_COLS), rows = size(f.rows, DEFAULT_ROWS),
  }
end

--- POST /process/pty
function calls.create(req)
  local f = fields.read(req, {
    id = "string", cwd = "string", envs = "map", cols = "integer", rows = "integer",
    lazyStart = "boolean",
  })
  if not f.id or f.id == "" then failures.raise(400, "session ID is required") end
  check_size("cols", f.cols)
  check_size("rows", f.rows)
  refuse_taken(f.id)
  local terminal = new_terminal(f)
  if not f.lazyStart then
    local ok, err = terminal:start()
    if not ok then failures.raise(500, "failed to start PTY session" .. (pty.legacy and "" or ": " .. err)) end
  end
  return 201, { sessionId = f.id }
end

--- GET /process/pty
function calls.list()
  local list = json.array {}
  for i, each in ipairs(pty.all()) do list[i] = describe(each) end
  return 200, { sessions = list }
end

--- GET /process/pty/{id}
function calls.get(req)
  return 200, describe(find(req))
end

--- DELETE /process/pty/{id}
function calls.delete(req)
  find(req):kill()
  return 200, { message = "PTY session deleted" }
end

--- POST /process/pty/{id}/resize
function calls.resize(req)
  local kind = pty.legacy and "integer" or "integer!"
  local f = fields.read(req, { cols = kind, rows = kind })
  f.cols, f.rows = f.cols or 0, f.rows or 0       -- an old daemon takes what is missing for none
  check_size("cols", f.cols, pty.legacy)
  check_size("rows", f.rows, pty.legacy)
  local terminal = pty.get(req.params.id)
  if not terminal then
    failures.code(410, "SESSION_ENDED", pty.legacy and ("PTY session %s not found"):format(req.params.id)
      or ("PTY session '%s' has terminated and is no longer available"):format(req.params.id))
  elseif not terminal.active then
    failures.raise(500, "cannot resize inactive PTY session")
  end
  terminal:resize(f.cols, f.rows)
  return 200, describe(terminal)
end

-- Ends a connection that never got its terminal: a word, then no close frame.
local function give_up(socket, message)
  socket:send(json.encode { type = "control", status = "error", error = message }, "text")
  socket:flush()
  socket:abort()
end

-- Carries a client's input to a terminal until one of them ends.
local function converse(socket, terminal)
  terminal:attach(socket)
  socket:send('{"type":"control","status":"connected"}', "text")
  while true do
    local data = socket:receive()
    if not data then break end
    if not terminal:input(data) then
      if not terminal.ended then socket:close(1011, "PTY session unavailable") end
    end
  end
  terminal:detach(socket)
  socket:abort()
end

-- Of the offered subprotocols one is chosen, because clients may insist on that.
local function open_channel(req)
  local _, token = version.of(req)
  local offered = req.headers["sec-websocket-protocol"] or ""
  if not token and not pty.legacy and offered:find(EXIT_CONTROL, 1, true) then
    token = EXIT_CONTROL
  end
  return channel.open(req, { protocols = token and { token }, largest = LARGEST_INPUT })
end

--- GET /process/pty/{id}/connect, a WebSocket
function calls.connect(req)
  local socket = open_channel(req)
  local terminal = pty.get(req.params.id)
  local err = not terminal and ("PTY session %s not found"):format(req.params.id)
  if terminal and not terminal.active then
    local ok, why = terminal:start()
    err = not ok and "failed to start PTY session: " .. why
  end
  if err then
    return give_up(socket, "Failed to connect to PTY session: " .. err)
  end
  converse(socket, terminal)
end

-- The variables that travel in a subprotocol token.
local function envs_of(req)
  local token = (req.headers["sec-websocket-protocol"] or ""):match "X%-Daytona%-Pty%-Envs~([^%s,]*)"
  if not token then return nil end
  local plain = base64.decode_url(token)
  local envs = plain and json.decode(plain)
  if type(envs) ~= "table" then
    failures.raise(400, "invalid envs subprotocol: not a JSON object in base64url")
  end
  for name, value in pairs(envs) do
    if type(name) ~= "string" or type(value) ~= "string" then
      failures.raise(400, "invalid envs subprotocol: variables must be strings")
    end
  end
  return envs
end

--- GET /process/pty/create-connect, a WebSocket
function calls.create_connect(req)
  local query = req.query
  local f = { id = query.id, cwd = query.cwd, envs = envs_of(req),
              cols = tonumber(query.cols), rows = tonumber(query.rows) }
  if not f.id or f.id == "" then
    failures.raise(400, "session ID is required as a query parameter")
  elseif (f.cols or 0) > MOST_CELLS or (f.rows or 0) > MOST_CELLS then
    failures.raise(400, ("cols and rows must be less than %d"):format(MOST_CELLS))
  end
  refuse_taken(f.id)
  local socket = open_channel(req)
  local terminal = new_terminal(f)
  local ok, err = terminal:start()
  if not ok then
    return give_up(socket, "Failed to start PTY session: " .. err)
  end
  converse(socket, terminal)
end

return calls
