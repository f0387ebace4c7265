-- The logs of builds, of sandboxes and of snapshots, as far as they are there or, with
-- `follow`, as they grow. With the service such a stream may stay open after the build
-- has ended; here it does where `open_build_logs` is set.

local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local files = require "daytona.devserver.control.files"
local snapshots = require "daytona.devserver.control.snapshots"

local build_logs = {}

local LOOK = 0.05   -- seconds between looks

local function stream(context, req, path, growing)
  return function(write)
    local sent = 0
    while true do
      local more = growing()
      local text = files.read(path) or ""
      if #text > sent and not write(text:sub(sent + 1)) then return end
      sent = #text
      if req.query.follow ~= "true" then return end
      if not more and not context.open_build_logs then return end
      if req:wait(LOOK) then return end
    end
  end
end

local BINARY = { ["content-type"] = "application/octet-stream" }

function build_logs.url(context, box)
  if not box.build_info then httpd.fail(404, nil, ("Sandbox %s has no build info"):format(box.id)) end
  return { url = ("%s/sandboxes/%s/build-logs"):format(context.api_url, box.id) }
end

local BUILDING = { pending_build = true, building_snapshot = true }

function build_logs.of_sandbox(context, req)
  local box = checks.box(context, req.params.id)
  if not box.build_info then
    httpd.fail(404, nil, ("Sandbox with ID or name %s has no build info"):format(req.params.id))
  end
  local path = context.store:folder(box) .. "/build.log"
  return 200, stream(context, req, path, function() return BUILDING[box.state] end), BINARY
end

function build_logs.of_snapshot(context, req)
  local path, growing = snapshots.log(context, req)
  return 200, stream(context, req, path, growing), BINARY
end

return build_logs
