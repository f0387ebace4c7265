-- A creation that failed, or whose answer was lost: finding what the service made all the
-- same, asking again, and deleting it. Loaded when that happens; making sandboxes is in create.lua.

local asked = require "daytona.control.create_options"
local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local ledger = require "daytona.control.ledger"
local loop = require "daytona.loop"
local record = require "daytona.control.record"

local undo = {}

--- Finding what was made -----------------------------------------------------------------------

---The sandbox that this very creation made, as the service has it, or nil, err. A name that
---was chosen here is proof enough, any other needs the mark. Forks know themselves.
---@param creation daytona.Creation
---@param timeout? number
---@return table?
---@return daytona.Error?
function undo.find(creation, timeout)
  local name = creation.body.name
  if creation.find then return creation:find(timeout) end
  local raw, err = record.fetch(creation.client, { sandbox = name },
    { timeout = timeout, operation = "create", flaw = record.absent })
  if not raw then return nil, err end
  local labels = type(raw.labels) == "table" and raw.labels or {}
  if creation.nonce and labels[asked.MARK] ~= creation.nonce then
    return nil, errors.new { kind = "not_found", message = "that name belongs to another sandbox" }
  end
  return raw
end

--- Asking again --------------------------------------------------------------------------------

-- Whether the service may have made the sandbox all the same; "state" says that it
-- has, and that it did not come up.
local function answer_was_lost(err)
  return err.kind == "conflict" or err.kind == "state" or calls.is_lost(err)
end

local MAY_REPEAT = { connection = true, unavailable = true, timeout = true }

-- What was left of the time, for a look.
local function left_of(creation)
  return creation.deadline and math.max(creation.deadline - loop.now(), 0.001) or nil
end

-- The sandbox, if it was made all the same. Else nil, err; or nothing where it is not there.
local function find_lost(creation, err)
  creation.unsure = true
  local found, why = undo.find(creation, left_of(creation))
  if found then
    creation:take(found)
    if err.kind == "state" then return nil, err end
    return creation.sandbox
  end
  if errors.is(why, "canceled") then return nil, why end
  if not errors.is(why, "not_found") then return nil, err end
end

---The sandbox of a creation that was answered with an error. After a lost answer it is looked
---for by its name, and only asked for again when it is not there: under the same name a
---second one cannot come to be.
---@param creation daytona.Creation
---@param err daytona.Error
---@param post fun(creation: daytona.Creation): table?, daytona.Error?  asks for it
---@return daytona.Sandbox?
---@return daytona.Error?
function undo.find_or_repeat(creation, err, post)
  local delay, most = 0.25, creation.client.connection.max_retries
  for tries = 1, math.huge do
    creation.unsure = answer_was_lost(err)
    if not creation.unsure then return nil, err end
    local found, why = find_lost(creation, err)
    if found or why then return found, why end
    local too_late = creation.deadline and loop.now() + delay >= creation.deadline
    creation.unsure = false
    if not MAY_REPEAT[err.kind] or tries > most or too_late then return nil, err end
    local slept, cancelled = loop.sleep(delay)
    if not slept then
      creation.unsure = true
      return nil, cancelled
    end
    delay = delay * 2
    local raw
    raw, err = post(creation)
    if raw then return creation:take(raw) end
  end
end

--- Undoing it ------------------------------------------------------------------------------------

-- How long an abandoned creation is looked for while the service says that there
-- is none, and while it says nothing; a single look; between looks. Seconds.
local SEARCH, PATIENCE, LOOK, SEARCH_STEP = 3, 30, 10, 0.25

-- Nobody waits for this creation any more, but the service may be at it: what comes to be
-- is deleted. Called shielded. true, or nil, err; true as well where nothing came.
local function find_and_delete(creation)
  local begun = loop.now()
  local raw, err
  repeat
    raw, err = undo.find(creation, LOOK)
    if raw then return require("daytona.control.scope").dispose(creation:take(raw)) end
    local missing = errors.is(err, "not_found")
    if not missing and not err.retryable then return nil, err end
    local limit = begun + (missing and SEARCH or PATIENCE)
  until loop.now() >= limit or not loop.sleep(SEARCH_STEP)
  return errors.is(err, "not_found") or nil, err
end

local function delete(creation)
  local gone, err = require("daytona.loop.closing").deleting(creation.body.name, find_and_delete, creation)
  creation.gone = gone
  return gone, err
end

-- Adds what could not be undone to the error.
local function tell(err, gone, why)
  if not gone and why and errors.is(err) then
    err.message = err.message .. "; and it could not be deleted: " .. why.message
  end
end

---The request of a creation was given up under way. Called shielded.
---@param err daytona.Error
---@param creation daytona.Creation
function undo.abandoned(err, creation)
  creation.abandoned = true
  if not creation.keep then
    tell(err, delete(creation))
    creation.undone = true
  end
  err.sandbox = creation.sandbox
end

-- What the ledger is to hold of a creation that brought no sandbox.
local function note_end(creation)
  if creation.sandbox then return end -- life.lua tells of its end
  local unknown = (creation.unsure or creation.abandoned) and not creation.gone
  if creation.noted then ledger[unknown and "leave" or "over"](creation.client, creation.body.name) end
  if creation.share then creation.share:release() end
end

---The sandbox is there, or may be, and could not be used: it is deleted unless it
---is to be kept. Called shielded.
---@param creation daytona.Creation
---@param err any  what is raised or returned; an error is told what could not be deleted
function undo.dispose(creation, err)
  if creation.log then creation.log:stop() end
  if not creation.keep and not creation.undone then
    if creation.sandbox then
      tell(err, require("daytona.control.scope").dispose(creation.sandbox))
    elseif creation.unsure then
      tell(err, delete(creation))
    end
  end
  note_end(creation)
end

return undo
