-- What is left out of an image's files: the rules of .dockerignore. Unlike git's, a
-- pattern is of the whole path from the root, and the last one that matches decides, also
-- below a folder that is left out. Knows no file system; paths are texts with "/".

local gitignore = require "daytona.base.gitignore"

---@class daytona.ImageIgnore
---@field package rules { pattern: string, keeps: boolean }[]
local Ignore = {}
Ignore.__index = Ignore

local ignore = {}

-- A pattern without what says nothing: "./", a "/" at an end, "//".
local function cleaned(pattern)
  pattern = pattern:gsub("/+", "/"):gsub("^/", ""):gsub("/$", "")
  while pattern:find "^%./" do pattern = pattern:sub(3) end
  return pattern ~= "." and pattern ~= "" and pattern or nil
end

-- A line as a rule, or nil when it is none.
local function rule_of(line)
  line = line:match "^%s*(.-)%s*$"
  if line == "" or line:sub(1, 1) == "#" then return nil end
  local keeps, rest = line:match "^(!?)%s*(.*)$"
  local pattern = cleaned(rest)
  return pattern and { pattern = pattern, keeps = keeps == "!" }
end

---Rules of the text of a .dockerignore file, and of patterns, which have the last word.
---@param text string
---@param patterns? string[]
---@return daytona.ImageIgnore
function ignore.new(text, patterns)
  local self = setmetatable({ rules = {} }, Ignore)
  local function add(line) self.rules[#self.rules + 1] = rule_of(line) end
  for line in (text:gsub("^\239\187\191", "") .. "\n"):gmatch "([^\n]*)\n" do add(line) end
  for _, line in ipairs(patterns or {}) do add(line) end
  return self
end

---Whether something may be kept below a folder that is left out.
---@return boolean
function Ignore:has_exceptions()
  for _, rule in ipairs(self.rules) do
    if rule.keeps then return true end
  end
  return false
end

-- Whether a pattern matches a path or a folder above it.
local function covers(pattern, path)
  local at = path
  while at do
    if gitignore.match(pattern, at) then return true end
    at = at:match "^(.*)/[^/]*$"
  end
  return false
end

---Whether a path is left out.
---@param path string  relative to the root
---@return boolean
function Ignore:ignores(path)
  for i = #self.rules, 1, -1 do
    local rule = self.rules[i]
    if covers(rule.pattern, path) then return not rule.keeps end
  end
  return false
end

return ignore
