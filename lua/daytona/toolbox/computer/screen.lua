-- Pictures of a desktop, its screens and its windows.

local base64 = require "daytona.base.base64"
local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local failed = require "daytona.toolbox.failed"
local group = require "daytona.toolbox.computer.group"
local localfile = require "daytona.toolbox.fs.localfile"
local loop = require "daytona.loop"
local options = require "daytona.base.options"

local screen = {}

local function shot(path)
  return { "GET", "/computeruse/screenshot" .. path, "object", operation = "screenshot", explain = group.explain }
end

local api = calls.of_daemon {
  full = shot "", full_compressed = shot "/compressed",
  region = shot "/region", region_compressed = shot "/region/compressed",
  info = { "GET", "/computeruse/display/info", "object", operation = "displays", refine = group.list_in "displays",
           explain = group.explain },
  windows = { "GET", "/computeruse/display/windows", "object", refine = group.list_in "windows",
              explain = group.explain },
}

--- Pictures --------------------------------------------------------------------------

---@class daytona.Screenshot
---@field data? string     the picture, unless it was saved
---@field saved_as? string where
---@field size integer     bytes
---@field format "png"|"jpeg"
---@field cursor? { x: integer, y: integer }  where the mouse was, in the picture, when it was asked for

---@class daytona.ComputerScreenshot
---@field sandbox daytona.Sandbox
local Screenshot = {}
screen.screenshot = group.class(Screenshot, "Screenshot")

local function scale_range(value)
  return type(value) == "number" and value >= 0.1 and value <= 1, "a number from 0.1 to 1"
end

local SHOT = {
  cursor = "boolean", format = { "png", "jpeg" }, quality = options.range(1, 100), scale = scale_range,
  save_as = "text", timeout = "seconds",
}

local function is_png(data)
  return data:sub(1, 4) == "\137PNG"
end

local function saved(self, picture, path)
  local fine, why = localfile.replace(path, picture.data)
  if not fine then return nil, failed(self, "screenshot", { kind = "io", what = path, message = why }) end
  picture.data, picture.saved_as = nil, path
  return picture
end

local function picture_in(self, answer, opts)
  loop.breathe "long"
  local data = type(answer.screenshot) == "string" and base64.decode(answer.screenshot)
  if not data then
    return nil, failed(self, "screenshot", { kind = "protocol", code = "json", message = "no picture came back" })
  end
  local at = answer.cursor_position
  local picture = {
    data = data, size = #data, format = is_png(data) and "png" or "jpeg",
    -- Without having been asked for it, it is not where the mouse is.
    cursor = opts.cursor and type(at) == "table" and { x = at.x, y = at.y } or nil,
  }
  if opts.save_as then return saved(self, picture, opts.save_as) end
  return picture
end

local function take(self, name, values, opts)
  opts = options.check("screenshot", SHOT, opts)
  if opts.quality and opts.format ~= "jpeg" then
    errors.misuse(1, "screenshot: quality goes with format = \"jpeg\"")
  end
  values.show_cursor = opts.cursor
  if opts.format or opts.quality or opts.scale then
    name = name .. "_compressed"
    values.format, values.quality, values.scale = opts.format or "png", opts.quality, opts.scale
  end
  local answer, err = api[name](self, values, { timeout = opts.timeout })
  if not answer then return nil, err end
  return picture_in(self, answer, opts)
end

---A picture of the whole screen: as bytes, or with `save_as` in a local file,
---which appears whole or not at all. With `cursor` the mouse is drawn. `format`,
---`quality` (jpeg, 1 to 100) and `scale` (0.1 to 1) make it smaller.
---@param opts? { cursor?: boolean, format?: "png"|"jpeg", quality?: integer, scale?: number, save_as?: string, timeout?: number }
---@return daytona.Screenshot?
---@return daytona.Error?
function Screenshot:full(opts)
  return take(self, "full", {}, opts)
end

---A picture of a part of the screen; otherwise as `full`.
---@param x integer
---@param y integer
---@param width integer
---@param height integer
---@param opts? { cursor?: boolean, format?: "png"|"jpeg", quality?: integer, scale?: number, save_as?: string, timeout?: number }
---@return daytona.Screenshot?
---@return daytona.Error?
function Screenshot:region(x, y, width, height, opts)
  options.argument("region: x", "integer", x)
  options.argument("region: y", "integer", y)
  options.argument("region: the width", "positive", width)
  options.argument("region: the height", "positive", height)
  return take(self, "region", { x = x, y = y, width = width, height = height }, opts)
end

--- Display ---------------------------------------------------------------------------------

---@class daytona.ComputerDisplay
---@field sandbox daytona.Sandbox
local Display = {}
screen.display = group.class(Display, "Display")

---The screens.
---@type fun(self: daytona.ComputerDisplay): { id: integer, x: integer, y: integer, width: integer, height: integer, is_active: boolean }[]?, daytona.Error?
Display.info = calls.method(api.info)

---The windows; old daemons say nothing of where they are.
---@type fun(self: daytona.ComputerDisplay): { id: integer, title: string, x: integer, y: integer, width: integer, height: integer, is_active: boolean }[]?, daytona.Error?
Display.windows = calls.method(api.windows)

group.guard(Screenshot, "screenshot")
group.guard(Display, "display")

return screen
