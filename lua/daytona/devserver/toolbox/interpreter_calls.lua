--- The interpreter calls: /process/interpreter/...

local condition = require "cqueues.condition"
local unistd = require "posix.unistd"
local json = require "daytona.devserver.http.json"
local channel = require "daytona.devserver.toolbox.channel"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local interpreter = require "daytona.devserver.toolbox.interpreter"
local text = require "daytona.devserver.toolbox.text"
local version = require "daytona.devserver.toolbox.version"

local calls = {}

local DEFAULT_TIMEOUT = 600     -- seconds
local MOST_QUEUED = 1024        -- messages that a client may leave untaken
local PATIENCE = 2              -- seconds it is waited for then

local function describe(context)
  return {
    id = context.id, cwd = context.cwd or unistd.getcwd(), language = "python",
    createdAt = text.rfc3339(context.created), active = context.active,
  }
end

--- POST /process/interpreter/context
function calls.create(req)
  local f = fields.read(req, { cwd = "string", language = "string" })
  if f.language and f.language ~= "" and f.language ~= "python" then
    failures.raise(400, "unsupported language: " .. f.language)
  end
  local context, err = interpreter.create(f.cwd ~= "" and f.cwd or nil)
  if not context then failures.raise(500, "failed to start context: failed to start Python worker: " .. err) end
  return 200, describe(context)
end

--- GET /process/interpreter/context
function calls.list()
  local list = json.array {}
  for i, context in ipairs(interpreter.all()) do list[i] = describe(context) end
  return 200, { contexts = list }
end

--- DELETE /process/interpreter/context/{id}
function calls.delete(req)
  local id = req.params.id
  if id == "default" then failures.raise(400, "the default context cannot be deleted") end
  local context = interpreter.get(id)
  if not context then failures.code(404, "PROCESS_NOT_FOUND", "context not found: " .. id) end
  context:delete()
  return 200, { message = "Context deleted successfully" }
end

-- What is wrong with a request: a close code and reason, or nil.
local function objection(request)
  if type(request) ~= "table" then
    return 1002, "invalid JSON payload"
  end
  for name, kind in pairs { code = "string", contextId = "string", timeout = "number", envs = "table" } do
    if request[name] == json.null then request[name] = nil end
    if request[name] ~= nil and type(request[name]) ~= kind then
      return 1002, "invalid JSON payload"
    end
  end
  if not (request.code or ""):find "%S" then return 1008, "code is required" end
  if request.timeout and request.timeout < 0 then
    return 1008, "timeout must be greater than or equal to 0"
  end
end

local function context_of(request)
  if request.contextId and request.contextId ~= "" and request.contextId ~= "default" then
    local context = interpreter.get(request.contextId)
    if not context then return nil, 1008, "context not found: " .. request.contextId end
    return context
  end
  local context, err = interpreter.default()
  if not context then return nil, 1011, "failed to get default context: " .. err end
  return context
end

local function execute(socket, request)
  local context, code, reason = context_of(request)
  if not context then return code, reason end
  local timeout = request.timeout or DEFAULT_TIMEOUT
  local job = {
    code = request.code, envs = request.envs, timeout = timeout > 0 and timeout or nil,
    changed = condition.new(),
  }
  -- Only then the service reads what a client sends: while the job waits for its turn,
  -- pings are not answered.
  function job.begin() socket:ignore_messages() end
  function job.emit(message)
    if socket.queued >= MOST_QUEUED then socket.changed:wait(PATIENCE) end
    if socket.queued >= MOST_QUEUED then
      job.close_code, job.close_reason = 1008, "slow consumer"
      job.changed:signal()
    elseif not job.close_code then
      socket:send(json.encode(message), "text")
    end
  end
  if not context:add(job) then return 1008, "too many executions wait for this context" end
  while not job.close_code do job.changed:wait() end
  return job.close_code, job.close_reason
end

--- GET /process/interpreter/execute, a WebSocket: one request, its messages, a close
function calls.execute(req)
  local _, token = version.of(req)
  local socket = channel.open(req, { protocols = token and { token } })
  local message = socket:receive()
  if not message then
    return socket:close(1002, "failed to read first message")
  end
  local request = json.decode(message)
  local code, reason = objection(request)
  if not code then code, reason = execute(socket, request) end
  socket:close(code, reason:sub(1, 123))
end

return calls
