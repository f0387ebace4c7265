-- Headless Chromium for specs, by spec/support/browser.lua.
--
--   local browse = require "spec.support.browse"
--   if not browse.program then return pending "Chromium is not here" end
--   local values = browse.through(url, folder, steps)    of the steps that have one

local json = require "daytona.http.json"

local browse = {}

local pipe = io.popen "command -v chromium || command -v chromium-browser || command -v google-chrome"
browse.program = pipe:read "*l"
pipe:close()

---Opens a page and goes through steps, as spec/support/browser.lua knows them; what they
---came to. `folder` is for the browser's own files.
function browse.through(url, folder, steps)
  local name = folder .. "/plan.json"
  local file = assert(io.open(name, "w"))
  file:write((assert(json.encode { program = browse.program, url = url, dir = folder .. "/profile", steps = steps })))
  file:close()
  local values = {}
  local run = io.popen("LUA_PATH='./lua/?.lua;;' luajit spec/support/browser.lua " .. name .. " 2>&1")
  for line in run:lines() do
    local value = json.decode(line)
    values[#values + 1] = type(value) == "table" and value[1] or line
  end
  run:close()
  return values
end

return browse
