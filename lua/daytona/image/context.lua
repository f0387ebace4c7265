-- What of this machine an image copies: one file or folder, its place in the build, and
-- which of it goes there. Names and rules; what is on the disk is looked at by tree.lua.

local core = require "daytona.base.native"
local dockerfile = require "daytona.image.dockerfile"
local errors = require "daytona.base.errors"
local gitignore = require "daytona.base.gitignore"
local ignore = require "daytona.image.ignore"

---@class daytona.ImageContext
---@field source string      on this machine
---@field path string        inside the build, where COPY finds it; "" for its root
---@field boundary? string   the folder, without links, that what is copied must lie in
---@field rules daytona.ImageIgnore
---@field prefix string      where the rules see the source: "" or a path
---@field max_bytes integer
---@field key? string        equal for what can share an archive

local context = {}

-- Bytes of the files of one context, unless the caller says otherwise.
local MOST = 2 * 1024 * 1024 * 1024

---An error about something on this machine.
---@param kind daytona.ErrorKind
---@param path string
---@param message string
---@return daytona.Error
function context.error(kind, path, message)
  return errors.new { kind = kind, operation = "image", what = path, message = message }
end

--- Paths -------------------------------------------------------------------------------

---A path with "/" between its parts, without "." and with each ".." resolved, as far as
---it can be; those that lead above the beginning stay in front. "" for the beginning.
---@param path string
---@return string
function context.clean(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and parts[1] and parts[#parts] ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

-- A path below the root of a build: what leads above it begins there.
local function rooted(path)
  path = context.clean(path)
  while path:find "^%.%./" do path = path:sub(4) end
  return path ~= ".." and path or ""
end

---Whether a path leads out of the folder it is relative to, by its text alone.
---@param path string
---@return boolean
function context.leads_out(path)
  local plain = path:gsub("\\", "/")
  local clean = context.clean(plain)
  return plain:find "^/" ~= nil or plain:find "^%a:" ~= nil or clean == ".." or clean:find "^%.%./" ~= nil
end

---Whether a path without links is a folder, or lies in it.
---@param path string
---@param folder string
---@return boolean
function context.is_within(path, folder)
  return path == folder or folder == "/" or path:sub(1, #folder + 1) == folder .. "/"
end

---@param folder string
---@param name string
---@return string
function context.join(folder, name)
  if folder == "" or folder == "." or name:sub(1, 1) == "/" then return name end
  return (folder:gsub("/$", "")) .. "/" .. name
end

--- Single files and folders ----------------------------------------------------------------

-- Whether another context has that place, or one in or above it.
local function is_taken(contexts, path)
  for _, other in ipairs(contexts) do
    local root = other.path == "" and not path:find "^%d+/"
    if root or context.is_within(other.path, path) or context.is_within(path, other.path) then return true end
  end
  return path == "Dockerfile"
end

-- Where something goes in the build: a relative path stays as it is, which is the same on
-- every machine; of others the name alone goes there, so that no Dockerfile depends on
-- where a project lies.
local function place_of(contexts, source)
  local place = source:find "^/" and source:match "([^/]+)/*$" or context.clean(source)
  if not place or place:find "^%.%." or place == "" then
    local real = core.real_path(source) or source
    place = real:match "([^/]+)/*$" or "root"
  end
  local free, n = place, 1
  while is_taken(contexts, free) do
    free, n = n .. "/" .. place, n + 1
  end
  return free
end

---The rules of the file beside what is copied, and of patterns.
---@param folder? string
---@param patterns? string[]
---@param name? string  of that file
---@return daytona.ImageIgnore
function context.rules(folder, patterns, name)
  local file = folder and io.open(context.join(folder, name or ".dockerignore"), "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return ignore.new(text or "", patterns)
end

-- Equal for what can share an archive.
local function key_of(source, opts)
  return table.concat({
    context.clean(source), tostring(source:find "^/"), tostring(opts.folder), tostring(opts.max_bytes),
    tostring(opts.strict_context), table.concat(opts.ignore or {}, "\n"),
  }, "\0")
end

---A file or folder that the program names itself.
---@param contexts daytona.ImageContext[]  those the image has already
---@param source string
---@param opts { folder?: boolean, ignore?: string[], max_bytes?: integer, strict_context?: boolean }
---@return daytona.ImageContext
function context.of(contexts, source, opts)
  local key = key_of(source, opts)
  for _, other in ipairs(contexts) do
    if other.key == key then return other end
  end
  return {
    source = source, path = place_of(contexts, source), prefix = "", key = key,
    boundary = opts.folder and opts.strict_context ~= false and core.real_path(source) or nil,
    rules = context.rules(opts.folder and source or nil, opts.ignore), max_bytes = opts.max_bytes or MOST,
  }
end

--- What a Dockerfile copies ------------------------------------------------------------------

local function sorted_names(folder)
  local names = core.list_directory(folder == "" and "." or folder) or {}
  table.sort(names, dockerfile.before)
  return names
end

-- Adds the paths in `folder` that there are and that a pattern's parts from `i` on match.
local function expand(folder, parts, i, out)
  if i > #parts then
    out[#out + 1] = folder
    return
  end
  if not parts[i]:find "[*?%[]" then
    local path = context.join(folder, parts[i])
    return core.file_type(path) and expand(path, parts, i + 1, out)
  end
  for _, name in ipairs(sorted_names(folder)) do
    if gitignore.match(parts[i], name) then expand(context.join(folder, name), parts, i + 1, out) end
  end
end

-- The paths that a source with stars stands for; itself where there are none.
local function matches(folder, source)
  if not source:find "[*?%[]" then return { source } end
  local parts, out, found = {}, {}, {}
  for part in source:gmatch "[^/]+" do parts[#parts + 1] = part end
  expand(source:find "^/" and "/" or folder == "" and "." or folder, parts, 1, out)
  for i, path in ipairs(out) do
    found[i] = source:find "^/" and path or folder == "" and path or path:sub(#folder:gsub("/$", "") + 2)
  end
  return found[1] and found or { source }
end

local function forbidden(path)
  return nil, context.error("invalid", path, "forbidden path outside the build context: " .. path)
end

---The contexts of what a Dockerfile copies, relative to a folder. nil, err when a source
---lies outside of it, unless `strict_context` is false.
---@param folder string  "" for the current one
---@param sources string[]
---@param opts { strict_context?: boolean, max_bytes?: integer }
---@param rules daytona.ImageIgnore
---@return daytona.ImageContext[]?
---@return daytona.Error?
function context.list(folder, sources, opts, rules)
  local strict = opts.strict_context ~= false
  local boundary = strict and core.real_path(folder == "" and "." or folder) or nil
  local out, seen = {}, {}
  for _, written in ipairs(sources) do
    if strict and context.leads_out(written) then return forbidden(written) end
    for _, source in ipairs(matches(folder, written)) do
      local place = context.join(folder, source)
      local real = strict and core.real_path(place)
      if real and not context.is_within(real, boundary) then return forbidden(real) end
      local path = rooted(source)
      if not seen[path] and path ~= "Dockerfile" then -- the build's own is there
        seen[path] = true
        out[#out + 1] = {
          source = place, path = path, boundary = boundary, rules = rules, prefix = path,
          max_bytes = opts.max_bytes or MOST,
        }
      end
    end
  end
  return out
end

return context
