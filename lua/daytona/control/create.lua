-- Making sandboxes: each exactly once, or not at all. What may be asked for is in
-- create_options.lua; finding and deleting what came of a failure is in undo.lua; waiting
-- for its start is in wait.lua, its end in scope.lua.

local asked = require "daytona.control.create_options"
local calls = require "daytona.control.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local ledger = require "daytona.control.ledger"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local record = require "daytona.control.record"
local sandbox = require "daytona.control.sandbox"

local M = {}

local api = calls.of_service {
  create = { "POST", "/sandbox", "object", raw = true, flaw = record.absent },
}

-- The state of one create: what was asked for, and how long there is.
---@class daytona.Creation
---@field client daytona.Client
---@field take fun(creation: daytona.Creation, raw: table): daytona.Sandbox  makes an answer its sandbox
---@field opts daytona.CreateOptions
---@field body table
---@field nonce? string   the mark, when the name is the caller's
---@field deadline? number
---@field secrets string[]
---@field keep boolean
---@field on_build_log? fun(line: string)
---@field log? daytona.BuildLog      while it is followed
---@field sandbox? daytona.Sandbox  once the service has made it
---@field share? daytona.Share   of a budget
---@field noted? boolean   it stands in the ledger, by its own doing
---@field find? fun(creation: daytona.Creation, timeout?: number): table?, daytona.Error?  what it brought, as the service has it
---@field undone? boolean  what could be done to undo it was done
---@field abandoned? boolean  its request was given up under way
---@field gone? boolean    there is none, as was found out afterwards
---@field unsure? boolean the service may make it, or may have made it: nobody has looked, or could look, since

local function values_of(map)
  local values = {}
  for _, value in pairs(map or {}) do values[#values + 1] = value end
  return values
end

local function left_of(creation)
  return creation.deadline and math.max(creation.deadline - loop.now(), 0.001) or 0
end

--- What came of it ---------------------------------------------------------------------------

local function take(creation, raw)
  local box = sandbox.new(creation.client, raw)
  creation.sandbox = creation.opts.owned ~= false and life.adopt(box) or box
  ledger.made(creation.client, creation.body.name, box.id)
  if creation.client.goes_ahead then
    require("daytona.control.ahead").learn(creation.client, box.toolbox_proxy_url, box.state ~= "started")
  end
  if creation.share then creation.share:took(box) end
  return box
end

-- What is only needed where something went wrong is loaded then.
local function undoing()
  return require "daytona.control.undo"
end

-- on_abandon of the request.
local function undo_abandoned(err, request)
  undoing().abandoned(err, request.creation)
end

-- on_leave of the request: what was asked for before it, if anything, was answered.
local function note_leave(request, may)
  request.creation.unsure = may
end

local function dispose(creation, err)
  undoing().dispose(creation, err)
end

-- nil, and the error of a creation that came to nothing.
local function given_up(creation, err)
  loop.shield(dispose, creation, err)
  err.operation, err.what = "create", err.what or creation.body.name
  err.sandbox = creation.sandbox or err.sandbox
  return nil, err
end

--- Once ------------------------------------------------------------------------------------------

local function post(creation)
  return api.create(creation.client, creation.body, {
    timeout = left_of(creation), what = creation.body.name, secrets = creation.secrets,
    creation = creation, on_abandon = undo_abandoned, on_leave = note_leave, extra = creation.opts.extra,
  })
end

-- Makes the sandbox once, whatever becomes of the answer. When it fails and `unsure` is left,
-- there may be one.
local function allocate(creation)
  creation.unsure = false
  local raw, err = post(creation)
  if raw then return take(creation, raw) end
  return undoing().find_or_repeat(creation, err, post)
end

--- As it was asked for ---------------------------------------------------------------------------

-- true, or nil, err where an option was not heard.
local function was_heard(creation)
  if not asked.unheard(creation.opts, creation.sandbox) then return true end
  return require("daytona.control.heard").look(creation)
end

local STARTED = { started = true }

-- Waits until it is started. true; or nil, err; or false and what `on_build_log` raised.
local function come_up(creation)
  local box = creation.sandbox
  if creation.on_build_log and box.raw.buildInfo then
    creation.log = require("daytona.control.build_log").follow(box, creation.on_build_log)
  end
  local fine, err = true, nil
  if box.state ~= "started" then
    fine, err = require("daytona.control.wait").wait_until(box, "create", STARTED, creation.deadline, nil, false)
  end
  if not creation.log or errors.is(err, "canceled") then return fine, err end
  local told, raised = creation.log:finish()
  if not told then return false, raised end
  return fine, err
end

-- A share of the budget, if there is one. true, or nil, err.
local function afford(creation)
  local budget = creation.opts.budget or rawget(creation.client, "budget")
  if not budget then return true end
  local err
  creation.share, err = require("daytona.control.budget").reserve(budget, "create", creation.opts.cpu)
  return creation.share and true, err
end

-- What an image value copies is handed over before anything is asked for. true, or nil, err.
local function hand_over(creation)
  local image = creation.opts.image
  if type(image) ~= "table" then return true end
  local info, err = require("daytona.control.build").info(creation.client, image, creation.deadline)
  creation.body.build_info = info
  return info and true, err
end

local function make(creation)
  local fine, err = true, nil
  if creation.body.secrets then fine, err = require("daytona.control.heard").knows_secrets(creation) end
  if fine then fine, err = hand_over(creation) end
  if fine then fine, err = afford(creation) end
  if not fine then return nil, err end
  if creation.opts.owned ~= false then
    creation.noted = ledger.begin(creation.client, creation.body.name, creation.nonce)
  end
  if creation.client.goes_ahead then require("daytona.control.ahead").open(creation.client, true) end
  fine, err = allocate(creation)
  if not fine then return given_up(creation, err) end
  fine, err = was_heard(creation)
  if fine and creation.wait then fine, err = come_up(creation) end
  if fine then
    core.hand_over()
    return creation.sandbox
  end
  if fine == nil then return given_up(creation, err) end
  loop.shield(dispose, creation, err)
  creation.sandbox, creation.log = nil, nil -- nothing is left to be done where this is caught
  error(err, 0)
end

---Makes a sandbox and waits until it is started.
---
---It is made once, whatever happens to the answer, as long as nothing between here and the
---service holds the request back: a gateway that delivers it seconds after its sender gave
---up (3 seconds are looked for it), or deleted what came of asking again, makes another.
---When it is there but does not
---start, or the caller is cancelled or interrupted meanwhile, it is deleted
---again, unless `keep`; the error then carries it in `err.sandbox`. While the service is
---still at it, it cannot be deleted: it is then told to destroy the sandbox by itself, is
---asked again in the background, and the message says so.
---An option that an older service ignores is kind "unsupported", and no sandbox is left.
---What `on_build_log` raises is raised here, after the same.
---@param self daytona.Client
---@param opts? daytona.CreateOptions
---@return daytona.Sandbox?
---@return daytona.Error?
function M.create(self, opts)
  opts = asked.check(opts)
  self:connection_of("create")
  local body, nonce = asked.body(self, opts)
  return loop.guard(make, dispose, {
    client = self, take = take, opts = opts, body = body, nonce = nonce, secrets = values_of(opts.env),
    deadline = loop.after(opts.timeout or 60), keep = opts.keep or false, wait = opts.wait ~= false,
    on_build_log = opts.on_build_log,
  })
end

return M
