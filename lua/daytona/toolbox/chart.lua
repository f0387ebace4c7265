-- Charts that code drew: their data, and the picture.

local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local names = require "daytona.http.names"

local M = {}

---A chart, as matplotlib was asked to draw it.
---@class daytona.Chart
---@field type "line"|"scatter"|"bar"|"pie"|"box_and_whisker"|"composite_chart"|"unknown"
---@field title? string
---@field x_label? string
---@field y_label? string
---@field x_ticks? (number|string)[]
---@field y_ticks? (number|string)[]
---@field x_tick_labels? string[]
---@field y_tick_labels? string[]
---@field x_scale? string
---@field y_scale? string
---@field elements? table[]  by type: label, points; label, group, value; ...
---@field raw table          as it came; `raw.png` is base64
local Chart = { __name = "daytona.Chart" }
Chart.__index = Chart

---"chart (bar, Sales)"
---@private
function Chart:__tostring()
  return string.format("chart (%s, %s)", tostring(self.type), tostring(self.title or "untitled"))
end

---@param raw table
---@return daytona.Chart
function M.new(raw)
  local fields = {}
  for name, value in pairs(raw) do
    if name ~= "png" then fields[names.snake_name(name)] = names.to_lua(value) end
  end
  fields.raw = raw
  return setmetatable(fields, Chart)
end

local function failure(kind, message, what)
  return nil, errors.new { kind = kind, operation = "chart", message = message, what = what }
end

---The picture's bytes.
---@return string?
---@return daytona.Error?  kind "not_found" without a picture, "protocol" when it is broken
function Chart:png()
  local text = self.raw.png
  if type(text) ~= "string" or text == "" then return failure("not_found", "this chart has no picture") end
  local data = base64.decode(text)
  if not data or data:sub(1, 4) ~= "\137PNG" then return failure("protocol", "the picture is not a PNG") end
  return data
end

---Writes the picture to a file, which is there whole or not at all.
---@param path string
---@return string? path
---@return daytona.Error?
function Chart:save(path)
  local data, err = self:png()
  if not data then return nil, err end
  local fine, why = require("daytona.toolbox.fs.localfile").replace(path, data)
  if not fine then return failure("io", why, path) end
  return path
end

return M
