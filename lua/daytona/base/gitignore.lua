-- Which files of a tree git would ignore: the rules of .gitignore files, as
-- gitignore(5) has them. Knows no file system; paths are texts with "/".

local gitignore = {}

--- Patterns -----------------------------------------------------------------------------

local CLASSES = {
  alnum = "%w", alpha = "%a", blank = "[ \t]", cntrl = "%c", digit = "%d", graph = "[^%s%c]", lower = "%l",
  print = "[^%c]", punct = "%p", space = "%s", upper = "%u", xdigit = "%x",
}

-- One item of a class at `p`: whether `c` is of it, and what follows. nil when
-- the pattern ends there, or names a class that there is not.
local function class_item(pattern, p, c)
  local name, after = pattern:match("^%[:(%a+):%]()", p)
  if name and not CLASSES[name] then return nil end
  if name then return c:find("^" .. CLASSES[name]) ~= nil, after end
  local function one(at)
    local char = pattern:sub(at, at)
    if char == "\\" then return pattern:sub(at + 1, at + 1), at + 2 end
    return char, at + 1
  end
  local first, last
  first, p = one(p)
  if first == "" then return nil end
  if pattern:sub(p, p) ~= "-" or pattern:find("^%]", p + 1) then return c == first, p end
  last, p = one(p + 1)
  if last == "" then return nil end
  return c >= first and c <= last, p
end

-- A class behind the "[" before `p`: whether `c` is of it, and what follows.
-- nil when it is not closed.
local function class(pattern, p, c)
  local negated = pattern:find("^[!^]", p) ~= nil
  if negated then p = p + 1 end
  local found, first = false, true
  while first or pattern:sub(p, p) ~= "]" do
    local is
    is, p = class_item(pattern, p, c)
    if is == nil then return nil end
    found, first = found or is, false
  end
  return found ~= negated, p + 1
end

local match

-- From a "*" on: tries every length that it may have. What fails behind a further
-- star would also fail with a longer match before it, so that is not tried again:
-- a failure is "star" or "deep" then, by the kind of star ("**/" is deep).
local function match_star(pattern, p, text, t)
  local after = pattern:match("^%*+()", p)
  local crosses = after - p == 2 and (p == 1 or pattern:sub(p - 1, p - 1) == "/")
    and (after > #pattern or pattern:sub(after, after) == "/")
  if crosses and after > #pattern then return true end
  if crosses then -- "**/": no folder, or any number
    local at = t
    while at do
      local outcome = match(pattern, after + 1, text, at)
      if outcome == true or outcome == "deep" then return outcome end
      local slash = text:find("/", at, true)
      at = slash and slash + 1
    end
    return "deep"
  end
  local limit = text:find("/", t, true) or #text + 1
  if after > #pattern then return limit > #text or "star" end
  for at = t, limit do
    local outcome = match(pattern, after, text, at)
    if outcome then return outcome end
  end
  return "star"
end

-- Whether the pattern from `p` on matches all of the text from `t` on: true, or
-- false or the kind of failure.
function match(pattern, p, text, t)
  while p <= #pattern do
    local char, c = pattern:sub(p, p), text:sub(t, t)
    if char == "*" then return match_star(pattern, p, text, t) end
    if c == "" then return false end
    if char == "?" then
      if c == "/" then return false end
      p = p + 1
    elseif char == "[" then
      local is
      is, p = class(pattern, p + 1, c)
      if not is or c == "/" then return false end
    else
      if char == "\\" then
        p = p + 1
        char = pattern:sub(p, p)
      end
      if char ~= c then return false end
      p = p + 1
    end
    t = t + 1
  end
  return t > #text
end

---Whether a pattern of gitignore matches a whole text.
---@param pattern string
---@param text string
---@return boolean
function gitignore.match(pattern, text)
  return match(pattern, 1, text, 1) == true
end

--- Rules --------------------------------------------------------------------------------

-- Takes trailing spaces off, but one behind a backslash.
local function trimmed(line)
  while line:find(" $") do
    local slashes = line:match("(\\*) $")
    if #slashes % 2 == 1 then break end
    line = line:sub(1, -2)
  end
  return line
end

-- A line as a rule, or nil when it is none.
local function rule_of(line)
  line = trimmed((line:gsub("\r$", "")))
  if line == "" or line:sub(1, 1) == "#" then return nil end
  local rule = {}
  if line:sub(1, 1) == "!" then
    rule.negated, line = true, line:sub(2)
  end
  if line:sub(-1) == "/" then
    rule.only_directories, line = true, line:sub(1, -2)
  end
  rule.anchored = line:find("/", 1, true) ~= nil
  if line:sub(1, 1) == "/" then line = line:sub(2) end
  if line == "" then return nil end
  rule.pattern = line
  if not line:find("[*?%[\\]") then
    rule.literal = line
  elseif not rule.anchored then
    local ending = line:match("^%*([^*?%[\\]+)$")
    rule.ending = ending
  end
  return rule
end

local function rule_matches(rule, path, name, is_directory)
  if rule.only_directories and not is_directory then return false end
  local text = rule.anchored and path or name
  if rule.literal then return text == rule.literal end
  if rule.ending then return text:sub(-#rule.ending) == rule.ending end
  return match(rule.pattern, 1, text, 1) == true
end

--- Trees --------------------------------------------------------------------------------

---@class daytona.Gitignore
local Gitignore = {}
Gitignore.__index = Gitignore

---Rules for a tree, none so far.
---@return daytona.Gitignore
function gitignore.new()
  return setmetatable({ rules = {}, always = {}, folders = {} }, Gitignore)
end

local function read_rules(text)
  local rules = {}
  for line in (text:gsub("^\239\187\191", "") .. "\n"):gmatch("([^\n]*)\n") do
    rules[#rules + 1] = rule_of(line)
  end
  return rules[1] and rules or nil
end

---Takes in the text of the .gitignore file in a folder ("" for the tree's root).
---@param folder string
---@param text string
function Gitignore:add(folder, text)
  self.rules[folder] = read_rules(text)
  self.folders = {}
end

---Adds a pattern, relative to the root, that goes before all files.
---@param pattern string
function Gitignore:add_pattern(pattern)
  self.always[#self.always + 1] = rule_of(pattern)
  self.folders = {}
end

-- What the last rule that matches says: true, false, or nil when none does.
local function verdict(rules, path, name, is_directory)
  for i = #rules, 1, -1 do
    if rule_matches(rules[i], path, name, is_directory) then return not rules[i].negated end
  end
end

local function folder_of(path)
  return path:match("^(.*)/[^/]*$") or ""
end

-- Whether the rules say that a path is ignored. `chain`: those of its folder and of the
-- folders above, the nearest first, each with the place where the path from there begins.
local function is_ignored(self, path, is_directory, chain)
  local name = path:match("^.*/(.*)$") or path
  local said = self.always[1] and verdict(self.always, path, name, is_directory)
  if said ~= nil then return said end
  while chain do
    said = verdict(chain.rules, chain.start == 1 and path or path:sub(chain.start), name, is_directory)
    if said ~= nil then return said end
    chain = chain.above
  end
  return false
end

-- What is known of a folder whose parent is known.
local function judge(self, folder, above)
  local rules, chain = self.rules[folder], above and above.chain
  local hidden = above ~= nil and (above.hidden or is_ignored(self, folder, true, chain))
  if rules then chain = { rules = rules, start = folder == "" and 1 or #folder + 2, above = chain } end
  local known = { hidden = hidden, chain = chain }
  self.folders[folder] = known
  return known
end

-- Whether a folder or one above it is ignored, and the rules for what is in it: found
-- out once a folder, however many paths lead through it.
local function folder_in(self, folder)
  if self.folders[folder] then return self.folders[folder] end
  local unknown, at = {}, folder
  while not self.folders[at] and at ~= "" do
    unknown[#unknown + 1], at = at, folder_of(at)
  end
  local known = self.folders[at] or judge(self, at, nil)
  for i = #unknown, 1, -1 do known = judge(self, unknown[i], known) end
  return known
end

---Whether a path is ignored, its folders not being so.
---@param path string   relative to the root
---@param is_directory boolean
---@return boolean
function Gitignore:ignores(path, is_directory)
  return is_ignored(self, path, is_directory, folder_in(self, folder_of(path)).chain)
end

---Whether a path or a folder above it is ignored.
---@param path string
---@param is_directory boolean
---@return boolean
function Gitignore:hides(path, is_directory)
  local folder = folder_in(self, folder_of(path))
  return folder.hidden or is_ignored(self, path, is_directory, folder.chain)
end

return gitignore
