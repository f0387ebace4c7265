-- Lists of sandboxes: what they are narrowed down by, and their pages. Methods of clients.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local rows = require "daytona.control.row"
local walk = require "daytona.control.walk"

local M = {}

---What a list is narrowed down by. All of it must match.
---@class daytona.ListFilter
---@field limit? integer     per page, 1 to 200; 100
---@field cursor? string     of the page before
---@field id? string         beginning of the id
---@field name? string       beginning of the name
---@field labels? table<string, string>
---@field states? string|string[]
---@field snapshots? string|string[]
---@field targets? string|string[]
---@field sandbox_classes? string|string[]
---@field min_cpu? integer
---@field max_cpu? integer
---@field min_gpu? integer
---@field max_gpu? integer
---@field min_memory_gib? integer
---@field max_memory_gib? integer
---@field min_disk_gib? integer
---@field max_disk_gib? integer
---@field is_public? boolean
---@field is_recoverable? boolean
---@field include_errored_deleted? boolean
---@field include_warm? boolean
---@field created_at_after? string  ISO 8601
---@field created_at_before? string
---@field last_activity_after? string
---@field last_activity_before? string
---@field auto_destroy_at_after? string
---@field auto_destroy_at_before? string
---@field sort? "name"|"cpu"|"memoryGib"|"diskGib"|"lastActivityAt"|"createdAt"
---@field order? "asc"|"desc"
---@field query? table<string, any>  goes into the query as it is, under the service's names: for filters that this library does not know yet

-- Option -> type, and the service's name where it is another.
local FILTERS = {
  limit = { options.range(1, 200) }, cursor = { "text" }, id = { "text" }, name = { "text" }, labels = { "map" },
  states = { "texts" }, snapshots = { "texts" }, targets = { "texts", "region_ids" },
  sandbox_classes = { "texts" },
  min_cpu = { "positive" }, max_cpu = { "positive" }, min_gpu = { "count" }, max_gpu = { "count" },
  min_memory_gib = { "positive" }, max_memory_gib = { "positive" }, min_disk_gib = { "positive" },
  max_disk_gib = { "positive" },
  is_public = { "boolean" }, is_recoverable = { "boolean" }, include_errored_deleted = { "boolean" },
  include_warm = { "boolean" }, created_at_after = { "text" }, created_at_before = { "text" },
  last_activity_after = { "text", "last_event_after" }, last_activity_before = { "text", "last_event_before" },
  auto_destroy_at_after = { "text" }, auto_destroy_at_before = { "text" },
  sort = { { "name", "cpu", "memoryGib", "diskGib", "lastActivityAt", "createdAt" } },
  order = { { "asc", "desc" } }, query = { "table" },
}

local FILTER_SPEC = {}
for name, row in pairs(FILTERS) do FILTER_SPEC[name] = row[1] end

-- The values of the call, and what goes into the query as it is.
local function values_of(what, filter)
  local values = {}
  for name, value in pairs(filter) do
    if name == "labels" then
      local text, problem = require("daytona.http.json").encode(value)
      if not text then errors.misuse(1, "%s: labels: %s", what, problem) end
      value = text
    end
    if name ~= "query" then values[FILTERS[name][2] or name] = value end
  end
  return values, filter.query
end

---@class daytona.Page
---@field items daytona.Sandbox[]  light rows: without env and the like until refreshed
---@field next_cursor? string      for the filter of the next page; nil at the end
local Page = { __name = "daytona.Page" }
Page.__index = Page

---@private
function Page:__tostring()
  return string.format("page (%d sandboxes%s)", #self.items, self.next_cursor and ", more" or "")
end

local function flaw(raw)
  local items, cursor = raw.items or {}, raw.nextCursor
  if type(items) ~= "table" or (cursor ~= nil and type(cursor) ~= "string") then return "no page of sandboxes" end
  for i = 1, #items do
    if type(items[i]) ~= "table" or type(items[i].id) ~= "string" then return "no list of sandboxes" end
  end
end

local function page_of(raw, client)
  local items, list = raw.items or {}, {}
  for i = 1, #items do list[i] = rows.new(client, items[i]) end
  local cursor = raw.nextCursor
  return setmetatable({ items = list, next_cursor = cursor ~= "" and cursor or nil }, Page)
end

local api = calls.of_service {
  list = { "GET", "/sandbox", "object", raw = true, flaw = flaw, refine = page_of },
}

---One page of sandboxes.
---@param self daytona.Client
---@param filter? daytona.ListFilter
---@return daytona.Page?
---@return daytona.Error?
function M.list(self, filter)
  local values, query = values_of("list", options.check("list", FILTER_SPEC, filter))
  return api.list(self, values, { extra_query = query })
end

---All sandboxes, page by page as they are needed: `for box in client:each() do`.
---Raises when a page cannot be had.
---@param self daytona.Client
---@param filter? daytona.ListFilter  `limit` is the size of a page
---@return fun(): daytona.Sandbox?
function M.each(self, filter)
  local values, query = values_of("each", options.check("each", FILTER_SPEC, filter))
  return walk.over(function(cursor)
    values.cursor = cursor
    return api.list(self, values, { extra_query = query })
  end, values.cursor)
end

return M
