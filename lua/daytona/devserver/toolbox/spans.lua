--- The requests that the daemon has answered lately, for the sandbox's traces: what
-- was asked for, when, how long it took. No bodies, no queries.

local cqueues = require "cqueues"
local ids = require "daytona.devserver.ids"
local json = require "daytona.devserver.http.json"

local spans = {}

local LIMIT = 1000

local list = json.array {}

--- Notes a request that is over. (What the control plane asks for its own purposes
-- does not count as activity, and is not noted either.)
---@param req table
function spans.note(req)
  if not req.counted then return end
  if #list >= LIMIT then table.remove(list, 1) end
  local seconds = cqueues.monotime() - req.started
  list[#list + 1] = {
    trace_id = ids.hex(16), span_id = ids.hex(8), name = req.method .. " " .. req.full_path,
    started = req.app.clock:now() - seconds * req.app.clock.scale, seconds = seconds, status = req.status or 0,
  }
end

--- All of them, oldest first.
---@return table[]
function spans.all()
  return list
end

return spans
