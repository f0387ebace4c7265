-- What an agent does, in the words of the Agent Client Protocol: events of a run become
-- `session/update`s, arguments of tools titles and places, prompts text.

local json = require "daytona.http.json"
local output = require "daytona.agent.output"
local url = require "daytona.http.url"

local M = {}

-- Bytes of a title.
local TITLE = 120

--- Calls -----------------------------------------------------------------------------------

local KINDS = {
  bash = "execute", service_start = "execute", service_stop = "execute", read = "read", service_logs = "read",
  write = "edit", edit = "edit", multiedit = "edit", apply_patch = "edit", ls = "search", glob = "search",
  grep = "search", update_plan = "think",
}

---What sort of tool that is.
---@param name string
---@return string
function M.kind(name)
  return KINDS[name] or "other"
end

---A line that says what a call is about.
---@param tool? daytona.Tool
---@param name string
---@param arguments? table
---@return string
function M.title(tool, name, arguments)
  local about = arguments and (arguments.command or arguments.path or arguments.pattern)
  local title = tool and tool.title or name
  if type(about) ~= "string" then return title end
  about = output.clean(about):gsub("%s+", " ")
  if #about > TITLE then about = output.head(about, TITLE) .. "..." end
  return arguments.command and about or title .. ": " .. about
end

---Where on this computer the file is that a call is about.
---@param arguments? table
---@param folder string   here
---@param remote? string  its copy in the sandbox
---@return { path: string }[]?
function M.locations(arguments, folder, remote)
  local path = arguments and arguments.path
  if type(path) ~= "string" or not json.encode(path) then return nil end
  if path:sub(1, 1) ~= "/" then return { { path = folder .. "/" .. path:gsub("^%./", "") } } end
  if not remote or path:sub(1, #remote + 1) ~= remote .. "/" then return nil end
  return { { path = folder .. path:sub(#remote + 1) } }
end

--- Content ----------------------------------------------------------------------------------

---A text as a block.
---@param text string
---@return table
function M.text(text)
  return { type = "text", text = text }
end

-- A changed file, as an editor shows it.
local function diff(change, folder)
  return { type = "diff", path = folder .. "/" .. output.clean(change.path), oldText = change.old or json.null,
    newText = change.new or "" }
end

---What came of a call: its text and pictures, and the files that it changed.
---@param result daytona.ToolResult
---@param changes daytona.ProjectChange[]
---@param folder string
---@return table[]
function M.content(result, changes, folder)
  local list = json.array()
  for _, change in ipairs(changes) do
    if change.old or change.new then list[#list + 1] = diff(change, folder) end
  end
  if result.text ~= "" then list[#list + 1] = { type = "content", content = M.text(result.text) } end
  for _, image in ipairs(result.images) do
    list[#list + 1] = { type = "content", content = { type = "image", data = image.data, mimeType = image.mime_type } }
  end
  return list
end

--- Prompts ------------------------------------------------------------------------------------

-- A file of the project by the path that the agent knows it by, anything else as it is.
local function named(uri, folder)
  local path = uri:match "^file://[^/]*(/.*)$"
  if not path then return uri end
  path = url.unescape(path)
  if path:sub(1, #folder + 1) == folder .. "/" then return path:sub(#folder + 2) end
  return path
end

-- Type of a block -> fn(block, folder): its text, or nil.
local BLOCKS = {}

function BLOCKS.text(block)
  return type(block.text) == "string" and block.text or nil
end

function BLOCKS.resource_link(block, folder)
  return type(block.uri) == "string" and "[file " .. named(block.uri, folder) .. "]" or nil
end

function BLOCKS.resource(block, folder)
  local resource = type(block.resource) == "table" and block.resource or {}
  if type(resource.uri) ~= "string" or type(resource.text) ~= "string" then return nil end
  return ("[content of %s]\n%s\n[end of %s]"):format(named(resource.uri, folder), resource.text,
    named(resource.uri, folder))
end

---A prompt as text; nil and what of it cannot be taken.
---@param blocks any
---@param folder string
---@return string?
---@return string? why
function M.prompt(blocks, folder)
  if type(blocks) ~= "table" or blocks[1] == nil then return nil, "prompt must be a list of content blocks" end
  local parts = {}
  for i, block in ipairs(blocks) do
    local read = type(block) == "table" and BLOCKS[block.type]
    local text = read and read(block, folder)
    if not text then
      return nil, ("prompt: block %d is none of text, resource_link and resource with a text"):format(i)
    end
    parts[i] = text
  end
  local text = table.concat(parts, "\n")
  if not text:find "%S" then return nil, "the prompt is empty" end
  return text
end

return M
