-- The set "components": the steps that workflow engines make of sandboxes, with the names,
-- units and shapes that these publish. Each result is `{ type, timestamp, data }`.
-- `daytona.workflow` runs lists of them.

local capture = require "daytona.agent.capture"
local ordered = require "daytona.http.ordered_json"
local operations = require "daytona.agent.sets.operations"
local repository_sandbox = require "daytona.agent.repository_sandbox"
local shape = require "daytona.agent.shape"
local variables = require "daytona.base.variables"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local READ = { readOnlyHint = true, openWorldHint = false }
local MAKE = { readOnlyHint = false, destructiveHint = false, idempotentHint = false, openWorldHint = true }
local DESTROY = { readOnlyHint = false, destructiveHint = true, idempotentHint = true, openWorldHint = false }
local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

--- What they have in common -------------------------------------------------------------

-- A component: its result is wrapped, its data has these fields in this order.
local function component(name, title, kind, annotations, description, input, fields)
  return {
    name = name, title = title, annotations = annotations, description = description, takes_api_key = true,
    input = object(input),
    output = object {
      { "type", shape.enum { kind } }, { "timestamp", string "RFC 3339, UTC" }, { "data", object(fields) },
    },
  }
end

local function now()
  return os.date "!%Y-%m-%dT%H:%M:%SZ"
end

local function wrapped(tool, data)
  local schema = tool.output.properties
  return ordered.note({
    type = schema.type.enum[1], timestamp = now(), data = ordered.note(data, ordered.of(schema.data.properties)),
  }, { "type", "timestamp", "data" })
end

local WHICH = { "sandbox", string("Id or name of the sandbox.", { minLength = 1 }) }

-- A number is what an expression may give.
local VALUE = { type = { "string", "number" } }

local ENV = {
  description = "Environment variables: texts by name, or a list of name and value.",
  anyOf = { shape.map(nil, { additionalProperties = VALUE }),
    shape.list(object { { "name", string(nil, { minLength = 1 }) }, { "value", VALUE } }) },
}

local NEW = {
  { "snapshot?", string("Id or name of the snapshot to make it from; the default one without.", { minLength = 1 }) },
  { "target?", string("Region.", { minLength = 1 }) },
  { "autoStopInterval?", integer("Minutes without activity until it stops; 0: never.", { minimum = 0 }) },
  { "env?", ENV },
}

-- Variables by name, of either form; those of `more` besides. Raises at names that are none.
local function environment(env, more)
  if not env and not more then return nil end
  local out = {}
  for name, value in pairs(more or {}) do out[name] = value end
  for key, value in pairs(env or {}) do
    if type(value) == "table" then key, value = value.name, value.value end
    out[key] = value
  end
  return (variables("env", out))
end

-- The options of `create` for a new sandbox.
local function wanted(args)
  return { snapshot = args.snapshot, target = args.target, auto_stop_interval = args.autoStopInterval,
    env = environment(args.env), timeout = 300 }
end

--- Sandboxes ------------------------------------------------------------------------------

local create = component("createSandbox", "Create a sandbox", "daytona.sandbox", MAKE,
  "Creates a sandbox, an isolated Linux computer, and waits until it has started.", NEW,
  { { "id", string() }, { "state", string() } })

-- In a workflow it is the run's until that ends; else whoever calls decides on its end,
-- perhaps days later.
function create.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local opts, made = wanted(args), call.toolset.made
  if not made then opts.owned = false end
  local sandbox
  sandbox, err = client:create(opts)
  if not sandbox then return nil, err end
  if made then made[sandbox.id] = sandbox end
  return wrapped(create, { id = sandbox.id, state = sandbox.state })
end

local SECRET_VALUE = object {
  { "secret", string("Name of the secret.", { minLength = 1 }) },
  { "key?", string("Which value of it, of a secret that has several.", { minLength = 1 }) },
}

local SECRET = object {
  { "type", shape.enum({ "env", "env-var", "file" }, "As an environment variable or as a file.") },
  { "name?", string("Of the variable.", { minLength = 1 }) },
  { "path?", string("Of the file; a relative one is in the home directory.", { minLength = 1 }) },
  { "value", SECRET_VALUE },
}

local BOOTSTRAP = object {
  { "from", shape.enum { "inline", "file" } },
  { "script?", string("With inline: the script.", { minLength = 1 }) },
  { "path?", string("With file: its path in the repository.", { minLength = 1 }) },
}

local create_repository = component("createRepositorySandbox", "Create a sandbox of a repository",
  "daytona.repository.sandbox", MAKE,
  "Creates a sandbox, clones a git repository into its home directory and runs a bootstrap script in the clone. When "
  .. "any of it fails, no sandbox is left.",
  {
    NEW[1], NEW[2], NEW[3], NEW[4],
    { "repository", string("Its address, or user/repo at GitHub.", { minLength = 1 }) },
    { "username?", string("For a private repository.", { minLength = 1 }) },
    { "password?", SECRET_VALUE },
    { "secrets?", shape.list(SECRET, "What the bootstrap and later commands get, by the names of secrets.") },
    { "bootstrap?", BOOTSTRAP },
    { "timeout?", integer("Seconds that all of it may take.", { minimum = 1, maximum = 3600, default = 300 }) },
  },
  {
    { "sandboxId", string() }, { "sandboxStartedAt", string "RFC 3339, UTC" }, { "timeout", integer "seconds" },
    { "repository", string() }, { "directory", string() }, { "secrets?", shape.list(SECRET) },
    { "bootstrap?", BOOTSTRAP },
  })

function create_repository.run(args, call)
  local data, err = repository_sandbox.make(args, call, wanted(args))
  if not data then return nil, err end
  data.sandboxStartedAt = os.date("!%Y-%m-%dT%H:%M:%SZ", data.sandboxStartedAt)
  return wrapped(create_repository, data)
end

local delete = component("deleteSandbox", "Delete a sandbox", "daytona.delete.response", DESTROY,
  "Deletes a sandbox with everything in it. This cannot be undone.",
  { WHICH, { "force?", boolean "Also while it runs or is busy." } },
  { { "deleted", boolean() }, { "id", string() } })

function delete.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local sandbox
  sandbox, err = client:get(args.sandbox)
  if not sandbox then return nil, err end
  local fine
  fine, err = sandbox:delete { force = args.force }
  if not fine then return nil, err end
  if call.toolset.made then call.toolset.made[sandbox.id] = nil end
  call.toolset.boxes = {}
  return wrapped(delete, { deleted = true, id = sandbox.id })
end

--- Inside ---------------------------------------------------------------------------------------

local code = component("executeCode", "Run code", "daytona.execute.response", RUN,
  "Runs source code in a sandbox and waits for its end. Time that is over is exit code -1.",
  {
    WHICH,
    { "code", string("Source text.", { minLength = 1 }) },
    { "language?", shape.enum({ "python", "javascript", "typescript" }, "The sandbox's own without.") },
    { "timeout?", integer("Milliseconds it may run; the service counts whole seconds.",
      { minimum = 1, maximum = 86400000, default = 60000 }) },
  },
  { { "exitCode", integer() }, { "result", string "What it printed." } })

-- The variables that secrets of a sandbox are, of those that this toolset made.
local function secret_variables(call, sandbox)
  local set = call.toolset.secret_variables
  return set and set[sandbox.id]
end

function code.run(args, call)
  local sandbox, err = call:sandbox(args.sandbox)
  if not sandbox then return nil, err end
  local milliseconds = args.timeout or 60000
  local result
  result, err = sandbox:run(args.code, {
    language = args.language, timeout = milliseconds / 1000, env = secret_variables(call, sandbox),
  })
  if not result then return nil, err end
  local printed = result.result
  if result.timed_out then printed = ("it was still running after %d ms, and was ended"):format(milliseconds) end
  local text, cut = call:cap(printed, "ends", nil, true)
  local kept = cut and operations.keep(sandbox, printed)
  return wrapped(code, { exitCode = result.exit_code, result = text }),
    { truncated = cut, read_more = kept, sandbox = sandbox.id }
end

local command = component("executeCommand", "Run a command", "daytona.command.response", RUN,
  "Runs a shell command in a sandbox and waits for its end. When its time is over, it is ended, timeout is true and "
  .. "the exit code -1.",
  {
    WHICH,
    { "command", string("Shell command.", { minLength = 1 }) },
    { "cwd?", string("Directory to run it in.", { minLength = 1 }) },
    { "env?", ENV },
    { "timeout?", integer("Seconds it may run.", { minimum = 1, maximum = 86400, default = 60 }) },
  },
  {
    { "exitCode", integer() }, { "timeout", boolean "Its time was over." }, { "result", string "What it printed." },
  })

function command.run(args, call)
  local sandbox, err = call:sandbox(args.sandbox)
  if not sandbox then return nil, err end
  local limits = call.toolset:limits()
  local done
  done, err = capture.run(sandbox, args.command, {
    cwd = args.cwd, env = environment(args.env, secret_variables(call, sandbox)), timeout = args.timeout or 60,
    lines = limits.lines - 10, bytes = math.floor(limits.bytes * 0.75), on_line = call.on_progress,
  })
  if not done then return nil, err end
  local text, cut = call:cap(done.text, "ends", done.file, true)
  local data = { exitCode = done.exit_code, timeout = done.timed_out, result = text }
  return wrapped(command, data),
    { truncated = cut or done.file ~= nil, read_more = done.file, sandbox = sandbox.id }
end

local preview = component("getPreviewUrl", "Get a preview address", "daytona.preview.response", READ,
  "Returns an address of a port of a sandbox: a signed one that anybody can open for a while, or one that takes the "
  .. "token in the header x-daytona-preview-token.",
  {
    WHICH,
    { "port?", integer("Port.", { minimum = 1, maximum = 65535, default = 3000 }) },
    { "signed?", boolean("Signed, which is so without.", { default = true }) },
    { "expiresInSeconds?", integer("Seconds that a signed one lives.",
      { minimum = 60, maximum = 86400, default = 60 }) },
  },
  {
    { "sandbox", string() }, { "port", integer() }, { "signed", boolean() }, { "url", string() }, { "token", string() },
    { "expiresInSeconds?", integer() },
  })

function preview.run(args, call)
  local sandbox, err = call:sandbox(args.sandbox)
  if not sandbox then return nil, err end
  local port, signed = args.port or 3000, args.signed ~= false
  local seconds = signed and (args.expiresInSeconds or 60) or nil
  local found
  found, err = sandbox.preview:url(port, signed and { signed = true, expires_in = seconds } or nil)
  if not found then return nil, err end
  return wrapped(preview, { sandbox = sandbox.id, port = port, signed = signed, url = found.url, token = found.token,
    expiresInSeconds = seconds })
end

local M = {}

---The ways a component can end, first the one that another step follows when it names none.
M.CHANNELS = { executeCommand = { "success", "failed" } }

---The channel of a result.
---@param result { type: string, timestamp: string, data: table }
---@return string
function M.channel_of(result)
  if result.type ~= "daytona.command.response" then return "default" end
  return result.data.exitCode == 0 and "success" or "failed"
end

---A toolset whose `made` is a table notes there the sandboxes that it made and has not
---deleted, by id.
---@return daytona.Tool[]
function M.tools()
  return { create, create_repository, code, command, delete, preview }
end

return M
