-- logs, preview: what a sandbox shows of itself.

local output = require "daytona.cli.output"

local looking = {}

local function to_stderr(chunk)
  io.stderr:write(chunk)
end

-- A build, to its end: the lines as they come, then how it ended.
local function follow_build(box)
  local log = require("daytona.control.build_log").follow(box, function(line) output.write(line .. "\n") end)
  local _, err = box:wait({ "started", "stopped", "archived" }, { timeout = 0 })
  local fine, why = log:finish()
  return nil, not fine and why or err
end

local function build(box, follow)
  if follow then return follow_build(box) end
  local text, err = box:build_logs()
  if not text then return nil, err end
  output.write(text)
end

---@param call daytona.cli.Call
function looking.logs(call)
  local box, err = call:box()
  if not box then return nil, err end
  if call.options.build then return build(box, call.options.follow) end
  local program
  program, err = box:entrypoint()
  if not program then return nil, err end
  if call.options.follow then
    return nil, select(2, program:follow { on_stdout = output.write, on_stderr = to_stderr })
  end
  local log
  log, err = program:logs()
  if not log then return nil, err end
  output.write(log.stdout)
  to_stderr(log.stderr)
end

---@param call daytona.cli.Call
function looking.preview(call)
  local given, port = call.options, tonumber(call.args[2])
  if not port then error("preview: the port is a number, not '" .. call.args[2] .. "'", 0) end
  local box, err = call:box()
  if not box then return nil, err end
  local fine = true
  if given.wait then fine, err = box:wait_for_port(port) end
  if not fine then return nil, err end
  local found
  found, err = box.preview:url(port, { expires_in = not given.token and (given.expires or 3600) or nil })
  if not found then return nil, err end
  if given.json then return output.json(found) end
  output.write(found.url .. "\n")
  if given.token then output.write("X-Daytona-Preview-Token: " .. found.token .. "\n") end
end

return looking
