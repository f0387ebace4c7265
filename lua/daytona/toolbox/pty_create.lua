-- Making a terminal: in one round trip where the daemon can, else in two.

local api = require "daytona.toolbox.pty_calls"
local calls = require "daytona.toolbox.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local link = require "daytona.toolbox.pty_link"
local variables = require "daytona.base.variables"

local create = {}

-- The daemon's ability to make one and connect at once.
local AT_ONCE = "create_connect"

-- Variables travel in a token of the opening's header; more of them than this in a request.
local ENVS, LONGEST_TOKEN = "X-Daytona-Pty-Envs~", 6000

-- Checks the variables. Their token, nil where there are none; their values, which
-- errors must not show; and they as texts.
local function pack_env(env)
  local texts, secrets = variables("pty", env)
  if not secrets[1] then return nil, secrets end
  local text, problem = json.encode(texts)
  if not text then errors.misuse(1, "pty: option 'env': %s", problem) end
  return ENVS .. core.base64(text, true), secrets, texts
end

-- Why a terminal could not be made, for a daemon that does not say: is it its folder?
local function explain(self, err, cwd)
  local kind, code = link.meaning(err.message)
  if not kind and cwd then
    local info, problem = self.sandbox.fs:stat(cwd)
    if errors.is(problem, "not_found") then
      kind, err.message = "not_found", "the folder " .. cwd .. " is not there: " .. err.message
    elseif info and not info.is_dir then
      kind, err.message = "invalid", cwd .. " is no folder: " .. err.message
    end
  end
  if kind then err.kind, err.code = kind, code end
  return err
end

-- In two steps, as daemons before create-connect want it.
local function create_first(self, opts, env, secrets, timeout)
  local raw, err = api.pty(self, {
    id = self.id, cols = self.cols, rows = self.rows, cwd = opts.cwd, envs = env, lazy_start = opts.lazy,
  }, { secrets = secrets, timeout = timeout })
  if not raw then return nil, err.status == 500 and explain(self, err, opts.cwd) or err end
  self.made = true
  if opts.lazy then return self end
  return link.attach(self, timeout)
end

local function create_at_once(self, opts, token, secrets, timeout)
  return link.open(self, {
    path = calls.path(api.create_connect, self),
    query = { { "id", self.id }, { "cols", self.cols }, { "rows", self.rows }, { "cwd", opts.cwd } },
    protocols = (token and token .. ", " or "") .. link.EXIT_CONTROL, secrets = secrets,
  }, timeout)
end

local UNKNOWN = { [400] = true, [404] = true }

---Makes a terminal and connects to it, unless it is to be `lazy`.
---@param self daytona.Pty  with its size
---@param opts table        of sandbox:pty
---@param timeout number
---@return daytona.Pty?
---@return daytona.Error?
function create.make(self, opts, timeout)
  local daemon, err = calls.daemon(self.sandbox)
  if not daemon then return nil, err end
  local token, secrets, env = pack_env(opts.env)
  if opts.lazy or daemon:knows(AT_ONCE) == false or #(token or "") > LONGEST_TOKEN then
    return create_first(self, opts, env, secrets, timeout)
  end
  local fine
  fine, err = create_at_once(self, opts, token, secrets, timeout)
  if fine or not UNKNOWN[err.status] then return fine, err end
  local unknown = err.status == 404
  fine, err = create_first(self, opts, env, secrets, timeout)
  if fine and unknown then daemon:learn(AT_ONCE, false) end
  return fine, err
end

return create
