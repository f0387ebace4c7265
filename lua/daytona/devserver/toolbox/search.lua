--- Looking into and through files: find (text in files), search (names), and
-- replace.

local ffi = require "ffi"
local json = require "daytona.devserver.http.json"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local paths = require "daytona.devserver.toolbox.paths"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local search = {}

local LONGEST_LINE = 65536       -- a longer one ends the search of its file
local BLOCK = 262144

local function required_pattern(req)
  local pattern = req.query.pattern
  if not pattern or pattern == "" then
    failures.raise(400, "pattern is required")
  end
  return pattern
end

-- Calls line(number, content) for each line that holds `pattern`. Returns the
-- number of lines, or nil when one was too long.
local function scan_block(block, pattern, number, on_match)
  local matches = block:find(pattern, 1, true) ~= nil
  local p, size, start = ffi.cast("const char *", block), #block, 0
  for i = 0, size - 1 do
    if p[i] == 10 then
      if i - start >= LONGEST_LINE then return nil end
      number = number + 1
      if matches then
        local line = block:sub(start + 1, i)
        if line:find(pattern, 1, true) then
          on_match(number, (line:gsub("\r$", "")))
        end
      end
      start = i + 1
    end
  end
  return number
end

local function scan_file(path, pattern, on_match)
  local file = io.open(path, "rb")
  if not file then return end
  local rest, number = "", 0
  local block = file:read(BLOCK)
  if block and not block:sub(1, 512):find("\0", 1, true) then
    while block do
      block = rest .. block
      local whole = #block
      while whole > 0 and block:byte(whole) ~= 10 do whole = whole - 1 end
      number = scan_block(block:sub(1, whole), pattern, number, on_match)
      rest = block:sub(whole + 1)
      if not number or #rest >= LONGEST_LINE then break end
      block = file:read(BLOCK)
    end
    if number and rest ~= "" and #rest < LONGEST_LINE then
      scan_block(rest .. "\n", pattern, number, on_match)
    end
  end
  file:close()
end

--- GET /files/find
function search.find(req)
  local root, pattern = paths.required(req, "path"), required_pattern(req)
  local found = json.array {}
  local function look(path, info)
    if info.kind ~= sys.S_IFREG then return end
    scan_file(path, pattern, function(number, content)
      found[#found + 1] = { file = text.utf8(path), line = number, content = text.utf8(content) }
    end)
  end
  local info = sys.stat(root)
  if info and info.kind == sys.S_IFDIR then
    paths.walk(root, nil, function(path, _, entry) look(path, entry) end)
  elseif info then
    look(root, info)
  end
  return 200, found
end

local ANY_CHARACTER = "[%z\1-\127\192-\255][\128-\191]*"

local function escaped(c)
  return c:gsub("%W", "%%%0")
end

-- A class such as "[a-z]" as a Lua pattern, and where it ends.
local function class_pattern(glob, at)
  local negated = glob:sub(at + 1, at + 1) == "^"
  local i, items = at + (negated and 2 or 1), {}
  while true do
    local c = glob:sub(i, i)
    if c == "" then return nil end
    if c == "]" and items[1] then break end
    if c == "\\" then
      i = i + 1
      c = glob:sub(i, i)
      if c == "" then return nil end
    end
    if c == "-" and items[1] and glob:sub(i + 1, i + 1) ~= "]" then
      items[#items + 1] = "-"
    else
      items[#items + 1] = escaped(c)
    end
    i = i + 1
  end
  local class = table.concat(items) .. "]"
  if negated then                -- of characters, not of their bytes
    return "[^\128-\191" .. class .. "[\128-\191]*", i
  end
  return "[" .. class, i
end

--- A shell glob as a Lua pattern for whole names; nil when it is malformed.
---@param glob string
---@return string?
function search.glob_pattern(glob)
  local out, i = { "^" }, 1
  while i <= #glob do
    local c = glob:sub(i, i)
    if c == "*" then
      out[#out + 1] = ".*"
    elseif c == "?" then
      out[#out + 1] = ANY_CHARACTER
    elseif c == "[" then
      local class, last = class_pattern(glob, i)
      if not class then return nil end
      out[#out + 1] = class
      i = last
    elseif c == "\\" then
      i = i + 1
      if i > #glob then return nil end
      out[#out + 1] = escaped(glob:sub(i, i))
    else
      out[#out + 1] = escaped(c)
    end
    i = i + 1
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

--- GET /files/search
function search.names(req)
  local root = paths.required(req, "path")
  local glob = required_pattern(req)
  local pattern = not glob:find("\0", 1, true) and search.glob_pattern(glob)   -- no name holds a NUL
  local found = json.array {}
  local function look(path)
    if pattern and paths.base(path):find(pattern) then
      found[#found + 1] = text.utf8(path)
    end
  end
  local info = sys.stat(root)
  if info then look(root) end
  if info and info.kind == sys.S_IFDIR then
    paths.walk(root, nil, look)
  end
  return 200, { files = found }
end

local function replace_all(content, pattern, new)
  local pieces, from = {}, 1
  while true do
    local first, last = content:find(pattern, from, true)
    if not first then break end
    pieces[#pieces + 1] = content:sub(from, first - 1)
    pieces[#pieces + 1] = new
    from = last + 1
  end
  pieces[#pieces + 1] = content:sub(from)
  return table.concat(pieces)
end

local function io_error(path, message)
  return "open " .. path .. ": " .. message:gsub("^.*: (%u)", function(c) return c:lower() end)
end

local function replace_in(path, pattern, new)
  local file, err = io.open(path, "rb")
  local content = file and file:read "*a"
  if file then file:close() end
  if not content then
    return nil, file and ("read %s: is a directory"):format(path) or io_error(path, err)
  end
  file, err = io.open(path, "wb")
  if not file then return nil, io_error(path, err) end
  local ok, write_err = file:write(replace_all(content, pattern, new))
  file:close()
  return ok, write_err
end

--- POST /files/replace
function search.replace(req)
  local f = fields.read(req, { files = "strings!", pattern = "string!", newValue = "string" })
  if not f.newValue then failures.body "newValue is required" end
  local results = json.array {}
  for i, path in ipairs(f.files) do
    local ok, err = replace_in(path, f.pattern, f.newValue)
    results[i] = { file = path, success = ok and true or false, error = not ok and err or nil }
  end
  return 200, results
end

return search
