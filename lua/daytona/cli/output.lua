-- What commands print: JSON, tables that fit a terminal and are plain elsewhere, and what
-- is known of the terminal.

local output = {}

-- Which of the standard streams are terminals, as bin/daytona-lua found: "012".
local TERMINALS = os.getenv "DAYTONA_LUA_TERMINALS" or ""

---Whether a standard stream is a terminal: 0, 1, 2.
---@param number integer
---@return boolean
function output.is_terminal(number)
  return TERMINALS:find(tostring(number), 1, true) ~= nil
end

local function fail(why)
  error(require("daytona.base.errors").new {
    kind = "io", message = "standard output: " .. tostring(why),
  }, 0)
end

---Prints a text at once.
---@param text string
function output.write(text)
  local fine, why = io.stdout:write(text)
  if fine then fine, why = io.stdout:flush() end
  if not fine then fail(why) end
end

---Sees to it that all has arrived. Raises where it has not.
function output.finish()
  local fine, why = io.stdout:flush()
  if not fine then fail(why) end
end

--- JSON ------------------------------------------------------------------------------------

-- Fields of the service's records that are lists, also when they are empty.
local LISTS = {
  volumes = true, secrets = true, entrypoint = true, regionIds = true, gpuType = true, skipped = true,
}

local function copied(value)
  if type(value) ~= "table" then return value end
  local json = require "daytona.http.json"
  local copy = {}
  for key, item in pairs(value) do
    local is_list = LISTS[key] and type(item) == "table" and next(item) == nil
    copy[key] = is_list and json.array() or copied(item)
  end
  return copy
end

---Prints a value as a line of JSON: of an object of the library, what the service said.
---@param value table
function output.json(value)
  output.write(assert(require("daytona.http.ordered_json").encode(copied(value.raw or value))) .. "\n")
end

---Prints a list as a JSON array, an item a line.
---@param list table[]
function output.json_list(list)
  local ordered, lines = require "daytona.http.ordered_json", {}
  for i, item in ipairs(list) do lines[i] = assert(ordered.encode(copied(item.raw or item))) end
  output.write("[" .. table.concat(lines, ",\n ") .. "]\n")
end

--- Tables ------------------------------------------------------------------------------------

local function columns()
  local size = require("daytona.base.native").terminal()
  local width = size and size:size() or tonumber(os.getenv "COLUMNS" or "")
  return width and width > 0 and width or 80
end

-- Characters, each of which is taken to be as wide as another.
local function length(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

local function cut(text, width)
  if length(text) <= width then return text end
  local kept, n = {}, 0
  for character in text:gmatch "[%z\1-\127\192-\255][\128-\191]*" do
    n = n + 1
    if n >= width then break end
    kept[n] = character
  end
  return table.concat(kept) .. "…"
end

local function shown(value)
  return require("daytona.base.printable").line(tostring(value == nil and "" or value))
end

local function widths_of(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, length(cell)) end
  end
  return widths
end

-- Leaves the last ones out, then takes from the widest, until all fit.
local function fit(widths, room)
  local sum = 2 * (#widths - 1)
  for _, width in ipairs(widths) do sum = sum + width end
  while sum > room and #widths > 3 do sum = sum - 2 - table.remove(widths) end
  while sum > room do
    local widest = 1
    for i, width in ipairs(widths) do if width > widths[widest] then widest = i end end
    if widths[widest] <= 4 then return end
    widths[widest], sum = widths[widest] - 1, sum - 1
  end
end

local HUES = {
  started = 32, active = 32, ready = 32, error = 31, build_failed = 31, stopped = 33, paused = 33, inactive = 33,
}

local function painted(text, cell)
  if (os.getenv "NO_COLOR" or "") ~= "" or not HUES[cell] then return text end
  return ("\27[%dm%s\27[0m"):format(HUES[cell], text)
end

local function print_fitting(rows)
  local widths = widths_of(rows)
  fit(widths, columns())
  for _, row in ipairs(rows) do
    local line = {}
    for i, width in ipairs(widths) do
      local text = cut(row[i], width)
      line[i] = painted(text, row[i]) .. (" "):rep(width - length(text) + 2)
    end
    output.write((table.concat(line):gsub("%s+$", "")) .. "\n")
  end
end

---Prints rows: at a terminal with headings, cut to its width; elsewhere each as a line,
---whole, with tabs between the cells.
---@param headings string[]
---@param rows any[][]
function output.table(headings, rows)
  local texts = {}
  for i, row in ipairs(rows) do
    texts[i] = {}
    for k = 1, #headings do texts[i][k] = shown(row[k]) end
  end
  if output.is_terminal(1) then
    table.insert(texts, 1, headings)
    return print_fitting(texts)
  end
  for i, row in ipairs(texts) do texts[i] = table.concat(row, "\t") .. "\n" end
  output.write(table.concat(texts))
end

---Prints names and values, those that there are.
---@param pairs_of { [1]: string, [2]: any }[]
function output.fields(pairs_of)
  for _, pair in ipairs(pairs_of) do
    local form = output.is_terminal(1) and "%-14s %s\n" or "%s\t%s\n"
    if pair[2] ~= nil then output.write(form:format(pair[1], shown(pair[2]))) end
  end
end

--- Times --------------------------------------------------------------------------------------

local UNITS = { { 86400 * 2, 86400, "d" }, { 7200, 3600, "h" }, { 120, 60, "m" }, { 0, 1, "s" } }

---How long ago a moment of the service was: "3m". nil where that is none.
---@param moment any  "2026-01-31T12:00:00.000Z"
---@return string?
function output.age(moment)
  local year, month, day, h, m, s = tostring(moment):match "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)"
  if not year then return nil end
  local now = os.date "!*t" -- both as if they were moments here
  now.isdst = false
  local seconds = math.max(0, os.time(now) - os.time {
    year = year, month = month, day = day, hour = h, min = m, sec = s, isdst = false,
  })
  for _, unit in ipairs(UNITS) do
    if seconds >= unit[1] then return ("%d%s"):format(math.floor(seconds / unit[2]), unit[3]) end
  end
end

return output
