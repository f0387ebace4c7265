-- Patches in the form that models write (V4A): files to add, change and delete, with
-- context in place of line numbers. Text in, text out; nothing here knows a file.

local patch = {}

local function split(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  if text == "" then lines = {} end
  return lines
end

--- The whole of a patch --------------------------------------------------------------------

local HEADS = {
  { "^%*%*%* Add File: (.+)$", "add" }, { "^%*%*%* Update File: (.+)$", "update" },
  { "^%*%*%* Delete File: (.+)$", "delete" },
}

local function head_of(line)
  for _, row in ipairs(HEADS) do
    local path = line:match(row[1])
    if path then return { kind = row[2], path = path:gsub("%s+$", ""), body = {} } end
  end
end

-- Takes one line into the operations; nil and why when it fits nowhere.
local function take(operations, line, number)
  local operation = head_of(line)
  if operation then
    operations[#operations + 1] = operation
    return true
  end
  local last = operations[#operations]
  if not last then return nil, ("line %d: a file must come first, as in '*** Update File: path'"):format(number) end
  local target = line:match "^%*%*%* Move to: (.+)$"
  if target and last.kind == "update" and not last.body[1] then
    last.move_to = target:gsub("%s+$", "")
    return true
  end
  if last.kind == "delete" and line:find "%S" then
    return nil, ("line %d: a file that is deleted has no lines"):format(number)
  end
  last.body[#last.body + 1] = line
  return true
end

---What a patch does: a list of { kind = "add"|"update"|"delete", path, move_to?, body }.
---nil and what is wrong with it.
---@param text string
---@return table[]?
---@return string? why
function patch.parse(text)
  local lines = split((text:gsub("\r\n", "\n")))
  while lines[1] and not lines[1]:find "%S" do table.remove(lines, 1) end
  while lines[1] and not lines[#lines]:find "%S" do lines[#lines] = nil end
  if not (lines[1] or ""):find "^%*%*%* Begin Patch" then return nil, "the patch must begin with '*** Begin Patch'" end
  if not lines[#lines]:find "^%*%*%* End Patch" then return nil, "the patch must end with '*** End Patch'" end
  local operations = {}
  for i = 2, #lines - 1 do
    local fine, why = take(operations, lines[i], i)
    if not fine then return nil, why end
  end
  if not operations[1] then return nil, "the patch names no file" end
  return operations
end

---The content of a file that is added: its lines begin with "+".
---@param body string[]
---@return string?
---@return string? why
function patch.added(body)
  local out = {}
  for i, line in ipairs(body) do
    if line:sub(1, 1) ~= "+" then return nil, ("line %d of a new file does not begin with '+'"):format(i) end
    out[i] = line:sub(2)
  end
  return out[1] and table.concat(out, "\n") .. "\n" or ""
end

--- One file -----------------------------------------------------------------------------------

local END_OF_FILE = "*** End of File"

-- The hunks of a body: the lines that are there, those that are to be, and anchors, lines
-- that come somewhere before.
local function hunks_of(body)
  local hunks, hunk = {}, nil
  local function begin()
    hunk = { old = {}, new = {}, anchors = {} }
    hunks[#hunks + 1] = hunk
  end
  for i, line in ipairs(body) do
    local mark, rest = line:sub(1, 1), line:sub(2)
    if line:sub(1, 2) == "@@" then
      if not hunk or hunk.old[1] or hunk.new[1] then begin() end
      local anchor = line:match "^@@ ?(.-)%s*@*$"
      if anchor:find "%S" and not anchor:find "^%-%d+[,%d]* %+%d" then hunk.anchors[#hunk.anchors + 1] = anchor end
    elseif line == END_OF_FILE then
      if hunk then hunk.at_end = true end
    else
      if not hunk then begin() end
      if mark == " " or mark == "-" or line == "" then hunk.old[#hunk.old + 1] = rest end
      if mark == " " or mark == "+" or line == "" then hunk.new[#hunk.new + 1] = { rest, kept = mark ~= "+" } end
      if line ~= "" and not mark:find "[ +-]" then
        return nil, ("line %d begins with neither ' ', '-', '+' nor '@@': %s"):format(i, line:sub(1, 80))
      end
    end
  end
  return hunks
end

local function stripped(line) return (line:gsub("%s+$", "")) end

local function as_is(line) return line end

local function stands_at(lines, at, old, of)
  for i = 1, #old do
    local line = lines[at + i - 1]
    if not line or of(line) ~= of(old[i]) then return false end
  end
  return true
end

-- Where a block of lines is, from a line on: as it stands, else but for blanks at the
-- ends of lines.
local function find_block(lines, old, from, at_end)
  for _, of in ipairs { as_is, stripped } do
    local first = at_end and math.max(#lines - #old + 1, from) or from
    for at = first, #lines do
      if stands_at(lines, at, old, of) then return at end
    end
  end
end

local function after_anchors(lines, anchors, from)
  for _, anchor in ipairs(anchors) do
    local found
    for at = from, #lines do
      if lines[at]:find(anchor, 1, true) then
        found = at
        break
      end
    end
    if not found then return nil, "the line after @@ is not in the file: " .. anchor:sub(1, 100) end
    from = found + 1
  end
  return from
end

local function place(lines, hunk, from)
  local start, why = after_anchors(lines, hunk.anchors, from)
  if not start then return nil, why end
  if not hunk.old[1] then return hunk.anchors[1] and start or #lines + 1 end
  local at = find_block(lines, hunk.old, start, hunk.at_end)
  -- The line after @@ may be a part of the block itself.
  if not at and hunk.anchors[1] then at = find_block(lines, hunk.old, start - 1, hunk.at_end) end
  if at then return at end
  return nil, "these lines are not in the file:\n" .. table.concat(hunk.old, "\n"):sub(1, 500)
end

-- The new lines; those that stay do so as the file has them.
local function put(out, lines, hunk, at)
  local offset = at
  for _, new in ipairs(hunk.new) do
    if new.kept then
      while stripped(lines[offset]) ~= stripped(new[1]) do offset = offset + 1 end
      out[#out + 1] = lines[offset]
      offset = offset + 1
    else
      out[#out + 1] = new[1]
    end
  end
end

---A text after a change. nil and why: the lines that it is to change are not there.
---@param text string
---@param body string[]  lines of the change
---@return string?
---@return string? why
function patch.apply(text, body)
  local hunks, why = hunks_of(body)
  if not hunks then return nil, why end
  if not hunks[1] then return nil, "a change has no lines" end
  local lines, out, from = split(text), {}, 1
  for _, hunk in ipairs(hunks) do
    local at
    if not hunk.old[1] and not hunk.new[1] then return nil, "a change has no lines" end
    at, why = place(lines, hunk, from)
    if not at then return nil, why end
    for i = from, at - 1 do out[#out + 1] = lines[i] end
    put(out, lines, hunk, at)
    from = at + #hunk.old
  end
  for i = from, #lines do out[#out + 1] = lines[i] end
  local ended = text == "" or text:sub(-1) == "\n"
  return table.concat(out, "\n") .. (ended and out[1] and "\n" or "")
end

patch.lines = split

return patch
