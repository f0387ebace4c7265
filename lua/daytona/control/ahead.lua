-- Where sandboxes are reached, found out and connected to ahead: while one is being made
-- or looked up, the connection that its first command goes over is opened, so that this
-- costs one round trip and not the three of TCP, TLS and itself. For clients whose
-- `goes_ahead` says so: over https alone it is worth it.
--
-- All sandboxes of a service are reached at one place, mostly: the last one's address says
-- where. Before the first one a note beside the ledger does, for short programs ("toolbox
-- https://...api https://...", a line each in its file `toolboxes`); else the service's
-- configuration, which is asked for over the connection that the creation goes over. Only
-- a connection is made, without the key; a guess that is wrong is a connection that nobody
-- uses, and what fails here fails silently.

local core = require "daytona.base.native"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local url = require "daytona.http.url"

local ahead = {}

-- The default service's, which needs no asking.
local KNOWN = { ["https://app.daytona.io/api"] = "https://proxy.app.daytona.io" }

-- Seconds after which a connection may have been closed for its idleness; that all of it
-- may take; bytes of an answer.
local AGAIN, TIMEOUT, LARGEST = 60, 30, 256 * 1024

-- What is known of a client's service.
---@class daytona.Ahead
---@field origin? string     where its sandboxes are
---@field opened? number     when a connection there was last asked for
---@field asked? boolean     the service was asked where
---@field noted? boolean     the note is up to date
---@field ops table<daytona.Op, true>  what is under way

---@return daytona.Ahead
local function of(client)
  local known = rawget(client, "_ahead")
  if not known then
    known = { ops = {} }
    rawset(client, "_ahead", known)
  end
  return known
end

-- The origin of an address, where it is one of https.
local function origin_of(address)
  local parts = type(address) == "string" and url.parse(address)
  return parts and parts.scheme == "https" and url.origin(parts) or nil
end

--- The note -----------------------------------------------------------------------------------

local function note_path(client)
  local folder = require("daytona.control.ledger").folder(client)
  return folder and folder .. "/toolboxes"
end

-- The lines of the note that are about other services, and what it says of this one.
local function read_note(client, path)
  local others, found = {}, nil
  local file = io.open(path, "r")
  if not file then return others end
  for line in file:lines() do
    local api, origin = line:match "^toolbox (%S+) (%S+)$"
    if api == client.api_url then found = origin_of(origin) elseif api then others[#others + 1] = line end
  end
  file:close()
  return others, found
end

-- Replaces the note as a whole. The folder is the ledger's, which made it.
local function write_note(client, path, origin, others)
  local text = ("%s.%d"):format(path, core.pid())
  local file = io.open(text, "w")
  if not file then return end
  others[#others + 1] = ("toolbox %s %s"):format(client.api_url, origin)
  local written = file:write(table.concat(others, "\n"), "\n")
  if not (file:close() and written and os.rename(text, path)) then os.remove(text) end
end

local function recall(client)
  local path = note_path(client)
  if not path then return nil end
  local _, origin = read_note(client, path)
  return origin
end

--- Opening ------------------------------------------------------------------------------------

-- Starts a request without the key, of which nobody waits for the answer.
local function start(client, method, target, on_answer)
  local way, known = client.connection, of(client)
  local op = loop.start {
    url = target, method = method, profile = way.bare(), max_bytes = LARGEST, timeout = TIMEOUT,
    connect_timeout = way.connect_timeout,
  }
  if not op then return end
  known.ops[op] = true
  loop.rest(op, true)
  loop.on(op, core.DONE, function()
    if not known.ops[op] then return end
    known.ops[op] = nil
    local status, body = op.transfer:result()
    loop.close(op)
    if on_answer and status == 200 then on_answer(body) end
  end)
end

local function open(client, origin)
  local known, now = of(client), loop.now()
  if known.opened and now - known.opened < AGAIN then return end
  known.opened = now
  start(client, "HEAD", origin .. "/health")
end

-- Asks the service where its sandboxes are, once.
local function ask(client)
  local known = of(client)
  if known.asked then return end
  known.asked = true
  start(client, "GET", client.connection.base .. "/config", function(body)
    local answer = not known.origin and not client.closed and json.decode(body)
    local address = type(answer) == "table" and answer.proxyToolboxUrl
    local origin = client:check_address(address, "") and origin_of(address)
    if origin then open(client, origin) end
  end)
end

---Opens the way to the client's sandboxes, where it can be known. `asking`: the service may
---be asked, as what is done meanwhile takes its time. Does not wait.
---@param client daytona.Client
---@param asking? boolean
function ahead.open(client, asking)
  if client.closed then return end
  local known = of(client)
  local origin = known.origin or recall(client) or KNOWN[client.api_url]
  if origin then
    open(client, origin)
  elseif asking then
    ask(client)
  end
end

---Notes where a sandbox of the client's is reached; before it is, with `opening`.
---@param client daytona.Client
---@param address any
---@param opening? boolean
function ahead.learn(client, address, opening)
  local origin = origin_of(address)
  if not origin or client.closed then return end
  local known = of(client)
  if origin ~= known.origin then
    known.origin, known.noted = origin, false
    if opening then open(client, origin) end
  end
  if known.noted then return end
  known.noted = true
  local path = note_path(client)
  if not path or KNOWN[client.api_url] == origin then return end
  local others, before = read_note(client, path)
  if before ~= origin then write_note(client, path, origin, others) end
end

return ahead
