-- Long JSON texts, decoded piece by piece, so that a host can do its own work in between.

local core = require "daytona.base.native"
local json = require "daytona.http.json"
local loop = require "daytona.loop"

local M = {}

-- What is decoded in one go, in bytes of a string; a value costs as much as some sixty.
local SLICE = 48 * 1024

-- A larger string takes a while to be made, and so has a turn of its own.
local LARGE = 256 * 1024

-- The value of a text, or of what a transfer brought; nil where the reader is not sure of it.
-- `rest` as of M.decode.
local function read(source, rest)
  local reader = core.json_reader(source, json.null)
  while reader do
    local over, value = reader:read(SLICE)
    if over then return value end
    if over == nil then return nil end
    local fine, err = rest(value) -- a large string is next
    if not fine then return nil, err end
  end
end

-- What came is read to its end even of who is cancelled.
local function breathe(long)
  loop.breathe(long)
  return true
end

---Decodes a JSON text as `json.decode` does.
---@param text string
---@param rest? fun(long: boolean): boolean?, any  called in between; its nil, err is then what comes back
---@return any value
---@return any message
function M.decode(text, rest)
  if #text <= SLICE then return json.decode(text) end
  local value, err = read(text, rest or breathe)
  if value ~= nil or err then return value, err end
  return json.decode(text)
end

---What a transfer that went well brought: decoded, without a string of all its text where only
---that is wanted, and how its text begins; or its text.
---@param transfer daytona.core.Transfer
---@param request daytona.Request
---@param start string
---@return { value: any, start: string }|string
function M.of(transfer, request, start)
  local wanted = request.answer or request.may_be_json
  if wanted and (transfer:header "content-type" or ""):find("json", 1, true) then
    local value = read(transfer, breathe)
    if value ~= nil then return { value = value, start = start } end
  end
  loop.breathe(transfer:progress() > LARGE)
  local _, text = transfer:result()
  return text
end

return M
