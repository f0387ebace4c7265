-- What a model gets to see of a text: valid UTF-8, not too long.

local core = require "daytona.base.native"

local output = {}

local is_utf8, json_string = core.is_utf8, core.json_string

---What a result may cost when nothing else is said.
output.LINES, output.BYTES = 2000, 50 * 1024

local REPLACEMENT = "\239\191\189" -- U+FFFD

local function repair(run)
  local out, i = {}, 1
  while i <= #run do
    local good
    for length = 2, 4 do
      local part = run:sub(i, i + length - 1)
      if is_utf8(part) then good = part end
    end
    out[#out + 1] = good or REPLACEMENT
    i = i + #(good or " ")
  end
  return table.concat(out)
end

---The text with U+FFFD in place of every byte that is no part of a UTF-8 character.
---@param text string
---@return string
function output.clean(text)
  if is_utf8(text) then return text end
  return (text:gsub("[\128-\255]+", repair))
end

-- Whether a character goes on there.
local function continues(text, at)
  return text:find("^[\128-\191]", at) ~= nil
end

---The beginning of a text, at most so many bytes, of whole characters.
---@param text string  UTF-8
---@param bytes integer
---@return string
function output.head(text, bytes)
  while continues(text, bytes + 1) do bytes = bytes - 1 end
  return text:sub(1, bytes)
end

local function count_lines(text)
  local n = select(2, text:gsub("\n", ""))
  return text:sub(-1) == "\n" and n or text == "" and 0 or n + 1
end

local function head_of(text, lines, bytes)
  local stop = 0
  for _ = 1, lines do stop = text:find("\n", stop + 1, true) or #text end
  return output.head(text, math.min(stop, bytes))
end

local function tail_of(text, lines, bytes)
  local from = math.max(#text - bytes + 1, 1)
  while continues(text, from) do from = from + 1 end
  local part = text:sub(from)
  local skip, at = count_lines(part) - lines, 0
  for _ = 1, skip do at = part:find("\n", at + 1, true) or at end
  return part:sub(at + 1)
end

local function note(left_out, where)
  return ("\n[... %d bytes left out%s ...]\n"):format(left_out, where and "; the whole is in " .. where or "")
end

-- The beginning (keep "head") or the beginning and the end of a text, with a note.
local function cut(text, keep, lines, bytes, where)
  if keep == "head" then
    local head = head_of(text, lines, bytes)
    return head .. note(#text - #head, where)
  end
  local half = math.floor(lines / 2)
  local head = head_of(text, half, math.floor(bytes / 2))
  local tail = tail_of(text, half, math.floor(bytes / 2))
  return head .. note(#text - #head - #tail, where) .. tail
end

local function size_of(text, limits)
  return limits.as_json and #json_string(text) or #text
end

---Shortens a text that has more than `limits.lines` lines or `limits.bytes` bytes (with
---`as_json`, as a JSON string): its beginning stays, with keep "ends" its end too, and a
---note says how much is missing and `where` all of it is. The text, and whether it is
---shorter than it was.
---@param text string  UTF-8
---@param limits { lines: integer, bytes: integer, as_json?: boolean }
---@param keep "head"|"ends"
---@param where? string
---@return string
---@return boolean
function output.cap(text, limits, keep, where)
  if size_of(text, limits) <= limits.bytes and count_lines(text) <= limits.lines then return text, false end
  local room = math.max(limits.bytes - 200 - (where and #where or 0), 0)
  local short
  repeat
    short = cut(text, keep, limits.lines - 3, room, where)
    room = math.floor(room * 0.8)
  until room == 0 or size_of(short, limits) <= limits.bytes
  return short, true
end

return output
