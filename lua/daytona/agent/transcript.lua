-- Transcripts: a conversation as JSON lines, written as it goes, from which it goes on.
--
-- A line is an entry: {"type":"conversation","id":...}, then "user", "assistant",
-- "results", and "done" at the end of each run. Secrets that are known are in none.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local known = require "daytona.base.known_secrets"
local ordered = require "daytona.http.ordered_json"
local reply = require "daytona.agent.model.reply"

local transcript = {}

---@class daytona.Transcript
---@field put fun(line: string, entry: table): boolean?, string?
local Transcript = {}
Transcript.__index = Transcript

local function failure(path, why)
  return nil, errors.new { kind = "io", operation = "agent", what = path, message = tostring(why) }
end

-- A copy without secrets.
local function hidden(value, secrets)
  if type(value) == "string" then return known.hide(value, secrets) end
  if type(value) ~= "table" or value == json.null then return value end
  local out = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do out[key] = hidden(item, secrets) end
  return out
end

---Writes an entry.
---@param entry table
---@param secrets string[]
---@return true?
---@return daytona.Error?
function Transcript:write(entry, secrets)
  local shown = hidden(entry, secrets)
  local line, why = ordered.encode(shown)
  if not line then return failure(self.path, why) end
  if self.fn then
    self.fn(shown)
    return true
  end
  local fine
  if not self.file then self.file, why = io.open(self.path, "ab") end
  if not self.file then return failure(self.path, why) end
  fine, why = self.file:write(line, "\n")
  if fine then fine, why = self.file:flush() end
  if not fine then return failure(self.path, why) end
  return true
end

function Transcript:close()
  if self.file then self.file:close() end
  self.file = nil
end

--- Reading ----------------------------------------------------------------------------------

local KEPT = { user = true, assistant = true, results = true }

local function unanswered(call)
  return { id = call.id, name = call.name, result = {
    ok = false, text = "not run: the program ended before", images = json.array(), truncated = false } }
end

---Answers the calls of the last reply that have no results, in place: a conversation whose
---calls are not answered is refused.
---@param history table[]
---@return table? entry  the results that were added
function transcript.settle(history)
  local last = history[#history]
  if not last or last.type ~= "assistant" or not last.calls[1] then return nil end
  local entry = { type = "results", results = json.array() }
  for i, call in ipairs(last.calls) do entry.results[i] = unanswered(call) end
  history[#history + 1] = entry
  return entry
end

local function add(found, entry)
  if entry.type == "conversation" then found.id = entry.id end
  if not KEPT[entry.type] then return end
  if entry.type ~= "results" then transcript.settle(found.history) end
  found.history[#found.history + 1] = reply.lists(entry)
end

-- The entries of lines. One that a program could not finish is left out.
local function entries_of(text, path)
  local found, number = { history = {} }, 0
  for line in text:gmatch "([^\n]*)\n?" do
    number = number + 1
    local entry = line:find "%S" and json.decode(line)
    if type(entry) == "table" then
      add(found, entry)
    elseif line:find "%S" and not line:find '^{"' then
      return failure(path, ("line %d is no entry of a transcript"):format(number))
    end
  end
  transcript.settle(found.history)
  return found
end

---Reads a transcript: the entries of the conversation, as `history` of an agent takes them,
---and its id. nil and an error of kind "io" when it cannot be read.
---@param path string
---@return { history: table[], id?: string }?
---@return daytona.Error?
function transcript.read(path)
  local file, why = io.open(path, "rb")
  if not file then return failure(path, why) end
  local text = file:read "*a"
  file:close()
  if not text then return failure(path, "it cannot be read") end
  return entries_of(text, path)
end

-- A line that a program could not finish is ended, so that the next one is whole.
local function reopen(path)
  local old = io.open(path, "rb")
  local text = old and old:read "*a" or ""
  if old then old:close() end
  local file, why = io.open(path, "ab")
  if not file then return failure(path, why) end
  if text ~= "" and text:sub(-1) ~= "\n" then file:write "\n" end
  return file, text
end

---Opens a transcript: a path, whose conversation goes on if it holds one, or a function
---that is given each entry. Also what is in it.
---@param where string|fun(entry: table)
---@return daytona.Transcript?
---@return { history: table[], id?: string }|daytona.Error
function transcript.open(where)
  if type(where) ~= "string" then return setmetatable({ fn = where }, Transcript), { history = {} } end
  local file, text = reopen(where)
  if not file then return nil, text end
  local found, err = entries_of(text, where)
  if found then return setmetatable({ path = where, file = file }, Transcript), found end
  file:close()
  return nil, err
end

---The events that a conversation's entries once were: fn(event) for each, as of a run, but
---texts are whole.
---@param history table[]
---@param fn fun(event: table)
function transcript.replay(history, fn)
  for _, entry in ipairs(history) do
    if entry.type == "user" then
      fn { type = "user", prompt = entry.text }
    elseif entry.type == "results" then
      for _, done in ipairs(entry.results) do
        fn { type = "result", id = done.id, name = done.name, result = done.result }
      end
    else
      if entry.text ~= "" then fn { type = "text", text = entry.text } end
      for _, call in ipairs(entry.calls) do
        fn { type = "call", id = call.id, name = call.name, arguments = call.arguments }
      end
    end
  end
end

return transcript
