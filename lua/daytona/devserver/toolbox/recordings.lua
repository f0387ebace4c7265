--- Recordings of the screen: /computeruse/recordings/..., made by ffmpeg.

local posix_signal = require "posix.signal"
local ids = require "daytona.devserver.ids"
local json = require "daytona.devserver.http.json"
local display = require "daytona.devserver.toolbox.display"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local files = require "daytona.devserver.toolbox.files"
local httpd = require "daytona.devserver.http"
local paths = require "daytona.devserver.toolbox.paths"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"
local transfer = require "daytona.devserver.toolbox.transfer"

local recordings = {}

local LONGEST_LABEL = 100
local STOP_PATIENCE = 5         -- seconds ffmpeg has to finish its file

local active = {}               -- id → recording under way

local function folder()
  local own = environment.get "DAYTONA_RECORDINGS_DIR"
  return own and own ~= "" and own or environment.get "HOME" .. "/.daytona/recordings"
end

local function describe(recording)
  local info = sys.stat(recording.path)
  local ended = recording.ended
  return {
    id = recording.id, fileName = paths.base(recording.path), filePath = recording.path,
    startTime = text.rfc3339(recording.started), endTime = ended and text.rfc3339(ended) or nil,
    status = recording.status, durationSeconds = ended and ended - recording.started or nil,
    sizeBytes = info and info.size or nil,
  }
end

-- A recording that lies on disk, from its file's name.
local function from_file(path)
  local id, y, mo, d, h, mi, s =
    paths.base(path):match "^(%x+%-%x+%-%x+%-%x+%-%x+)_.*_(%d%d%d%d)(%d%d)(%d%d)_(%d%d)(%d%d)(%d%d)%.mp4$"
  if not id then return nil end
  local info = sys.stat(path)
  return {
    id = id, path = path, status = "completed", ended = info and info.mtime,
    started = os.time { year = y, month = mo, day = d, hour = h, min = mi, sec = s },
  }
end

local function all()
  local list = {}
  for _, name in ipairs(paths.names(folder()) or {}) do
    local found = from_file(folder() .. "/" .. name)
    if found and not active[found.id] then list[#list + 1] = found end
  end
  for _, recording in pairs(active) do list[#list + 1] = recording end
  table.sort(list, function(a, b)
    return a.started < b.started or a.started == b.started and a.id < b.id
  end)
  return list
end

local function find(req)
  for _, recording in ipairs(all()) do
    if recording.id == req.params.id then return recording end
  end
  failures.raise(404, "recording not found" .. (req.app.legacy and "" or ": " .. req.params.id))
end

local function check_label(req, label)
  if #label > LONGEST_LABEL or not label:find "^[%w_%- ][%w._%- ]*$" then
    if req.app.legacy then
      httpd.fail(400, nil, "invalid label", { body = { error = "invalid_label", message = "invalid label" } })
    end
    failures.raise(400, "invalid label: letters, digits, . _ - and blanks only")
  end
end

local function check_ffmpeg(req)
  if display.installed "ffmpeg" then return end
  local message = "ffmpeg is not installed in the sandbox"
  if req.app.legacy then
    httpd.fail(400, nil, message, { body = { error = "ffmpeg_not_found", message = message } })
  end
  failures.code(503, "RECORDING_FFMPEG_NOT_FOUND", message)
end

--- POST /computeruse/recordings/start
function recordings.start(req)
  local ok, body = pcall(req.json, req)
  local label = ok and type(body.label) == "string" and body.label ~= "" and body.label or nil
  if label then check_label(req, label) end
  check_ffmpeg(req)
  local now, id = os.time(), ids.uuid()
  files.make_dirs(folder(), 493)
  local path = ("%s/%s_%s_%s.mp4"):format(folder(), id, label or "session", os.date("%Y%m%d_%H%M%S", now))
  local process, err = spawn.start {
    argv = { "ffmpeg", "-y", "-loglevel", "error", "-f", "x11grab", "-framerate", "30", "-i",
             display.number or environment.get "DISPLAY" or ":0", "-c:v", "libx264", "-preset",
             "ultrafast", "-pix_fmt", "yuv420p", path },
    env = environment.list { DISPLAY = display.number },
  }
  if not process then failures.raise(500, err) end
  active[id] = { id = id, path = path, started = now, status = "recording", process = process }
  return 201, describe(active[id])
end

--- POST /computeruse/recordings/stop
function recordings.stop(req)
  local ok, body = pcall(req.json, req)
  local id = ok and type(body.id) == "string" and body.id or ""
  if id == "" then failures.raise(400, "id is required") end
  local recording = active[id]
  if not recording then
    failures.raise(404, req.app.legacy and "recording not found" or "recording is not active: " .. id)
  end
  local process = recording.process
  process:kill(posix_signal.SIGINT)
  if not process:wait(STOP_PATIENCE) then
    process:kill_group(posix_signal.SIGKILL)
    process:wait()
  end
  active[id] = nil
  recording.ended = os.time()
  recording.status = sys.stat(recording.path) and "completed" or "failed"
  return 200, describe(recording)
end

--- GET /computeruse/recordings
function recordings.list()
  local list = json.array {}
  for i, recording in ipairs(all()) do list[i] = describe(recording) end
  return 200, { recordings = list }
end

--- GET /computeruse/recordings/{id}
function recordings.get(req)
  return 200, describe(find(req))
end

--- DELETE /computeruse/recordings/{id}
function recordings.delete(req)
  local recording = find(req)
  if active[recording.id] then
    failures.code(req.app.legacy and 400 or 409, "RECORDING_STILL_ACTIVE", "recording is still active")
  end
  os.remove(recording.path)
  return 204
end

--- GET /computeruse/recordings/{id}/download
function recordings.download(req)
  return transfer.send(req, find(req).path)
end

return recordings
