-- What pip is told in an image: packages, where they come from, and the files that list
-- them.

local context = require "daytona.image.context"
local core = require "daytona.base.native"
local dockerfile = require "daytona.image.dockerfile"

local pip = {}

local quote = dockerfile.quote

---@class daytona.PipOptions
---@field find_links? string|string[]       pages with links to packages
---@field index_url? string                 instead of the usual index
---@field extra_index_urls? string|string[]
---@field pre? boolean                      also what is not finished
---@field extra_options? string             further ones, as they are
pip.OPTIONS = {
  find_links = "texts", index_url = "text", extra_index_urls = "texts", pre = "boolean", extra_options = "string",
}

local function each_of(value)
  return type(value) == "table" and value or { value }
end

---The options as pip reads them, each with a space before it.
---@param opts daytona.PipOptions
---@return string
function pip.options(opts)
  local out = {}
  local function add(text) out[#out + 1] = " " .. text end
  for _, link in ipairs(each_of(opts.find_links)) do add("--find-links " .. quote(link)) end
  if opts.index_url then add("--index-url " .. quote(opts.index_url)) end
  for _, url in ipairs(each_of(opts.extra_index_urls)) do add("--extra-index-url " .. quote(url)) end
  if opts.pre then add "--pre" end
  local extra = opts.extra_options and opts.extra_options:match "^%s*(.-)%s*$"
  if extra and extra ~= "" then add(extra) end
  return table.concat(out)
end

---The instruction that installs packages; "" for none.
---@param packages string[]
---@param opts daytona.PipOptions
---@return string
function pip.install(packages, opts)
  local words = {}
  for i = 1, #packages do words[i] = packages[i] end
  if not words[1] then return "" end
  table.sort(words, dockerfile.before)
  for i = 1, #words do words[i] = quote(words[i]) end
  return "RUN python -m pip install " .. table.concat(words, " ") .. pip.options(opts) .. "\n"
end

---The text of a file; nil, err (kind "not_found", "invalid", "io").
---@param path string
---@param what string  inside the message
---@return string?
---@return daytona.Error?
function pip.read(path, what)
  local kind = core.stat(path)
  if not kind then return nil, context.error("not_found", path, ("%s %s does not exist"):format(what, path)) end
  if kind ~= "file" then
    return nil, context.error("invalid", path, ("%s path %s exists but is not a file"):format(what:match "^%S+", path))
  end
  local file, why = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  if text then return text end
  return nil, context.error("io", path, tostring(why))
end

local function is_list_of_texts(value)
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    if type(key) ~= "number" or type(item) ~= "string" then return false end
  end
  return true
end

-- Adds the packages of a list. true, or nil, err.
local function add_all(packages, list, path, what)
  if not is_list_of_texts(list) then return nil, context.error("invalid", path, what .. " is no list of texts") end
  for _, item in ipairs(list) do packages[#packages + 1] = item end
  return true
end

-- The [project] section of a file.
local function project_of(path)
  local text, err = pip.read(path, "pyproject file")
  if not text then return nil, err end
  local data, why = require("daytona.image.toml").parse(text)
  if not data then return nil, context.error("invalid", path, why) end
  if type(data.project) == "table" then return data.project end
  return nil, context.error("invalid", path, "No [project] section in pyproject.toml file")
end

---The packages that a pyproject.toml names, and those of some of its groups; a group that
---it does not have is none.
---@param path string
---@param groups string[]
---@return string[]?
---@return daytona.Error?
function pip.of_project(path, groups)
  local project, err = project_of(path)
  if not project then return nil, err end
  local packages, optional = {}, project["optional-dependencies"]
  local fine
  fine, err = add_all(packages, project.dependencies or {}, path, "project.dependencies")
  for _, group in ipairs(groups) do
    local list = type(optional) == "table" and optional[group] or {}
    if fine then fine, err = add_all(packages, list, path, ("the group '%s'"):format(group)) end
  end
  return fine and packages, err
end

return pip
