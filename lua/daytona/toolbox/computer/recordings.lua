-- Recordings of a desktop: films that the sandbox keeps.

local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local group = require "daytona.toolbox.computer.group"
local localfile = require "daytona.toolbox.fs.localfile"
local options = require "daytona.base.options"
local oldest_first = require "daytona.toolbox.oldest_first"

local recordings = {}

-- Seconds that fetching one may take, and may stand still.
local DOWNLOAD_TIMEOUT, DOWNLOAD_IDLE = 1800, 60

-- How old daemons say it.
local function explain_start(err)
  if not err.code and (err.body or ""):find('"ffmpeg_not_found"', 1, true) then
    err.kind, err.code = "unavailable", "RECORDING_FFMPEG_NOT_FOUND"
  end
  return err
end

local function id_in(operation)
  return function(values)
    values.id = group.id_of("recording:" .. operation, values.id, "recording")
  end
end

local function in_order(answer)
  return oldest_first(answer.recordings, function(item) return item end, "start_time")
end

local ID = { { "id", "any" } }

local api = calls.of_daemon {
  start = { "POST", "/computeruse/recordings/start", "object", operation = "record", body = true,
            options = { label = "text" }, explain = explain_start },
  stop = { "POST", "/computeruse/recordings/stop", "object", operation = "stop_recording", what = "id", args = ID,
           prepare = id_in "stop" },
  list = { "GET", "/computeruse/recordings", "object", operation = "recordings", refine = in_order },
  get = { "GET", "/computeruse/recordings/{id}", "object", operation = "recording", args = ID, prepare = id_in "get" },
  delete = { "DELETE", "/computeruse/recordings/{id}", operation = "delete_recording", args = ID,
             prepare = id_in "delete" },
  download = { "GET", "/computeruse/recordings/{id}/download" },
}

---@class daytona.Recording
---@field id string
---@field file_name string
---@field file_path string        where in the sandbox
---@field status "recording"|"completed"|"failed"
---@field start_time string
---@field end_time? string
---@field duration_seconds? number
---@field size_bytes? integer

---@class daytona.ComputerRecording
---@field sandbox daytona.Sandbox
local Recording = {}
recordings.recording = group.class(Recording, "Recording")

---Begins to record the screen. Fails with kind "unavailable" when ffmpeg is not
---installed, "invalid" for a label that cannot be part of a file's name.
---@type fun(self: daytona.ComputerRecording, opts?: { label?: string }): daytona.Recording?, daytona.Error?
Recording.start = calls.method(api.start)

---Ends a recording: it, or its id.
---@type fun(self: daytona.ComputerRecording, recording: daytona.Recording|string): daytona.Recording?, daytona.Error?
Recording.stop = calls.method(api.stop)

---All recordings, oldest first.
---@type fun(self: daytona.ComputerRecording): daytona.Recording[]?, daytona.Error?
Recording.list = calls.method(api.list)

---One recording as it is now; kind "not_found" when there is none of that id.
---@type fun(self: daytona.ComputerRecording, recording: daytona.Recording|string): daytona.Recording?, daytona.Error?
Recording.get = calls.method(api.get)

---Deletes one; kind "conflict" (old daemons: "invalid") while it is recorded.
---@type fun(self: daytona.ComputerRecording, recording: daytona.Recording|string): true?, daytona.Error?
Recording.delete = calls.method(api.delete)

local DOWNLOAD = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

local function fetch(self, id, request, opts)
  request.timeout = opts.timeout or DOWNLOAD_TIMEOUT
  request.idle_timeout = opts.idle_timeout or DOWNLOAD_IDLE
  request.on_progress = opts.on_progress
  return api.download(self, { id = id }, request)
end

local function fetch_to_path(self, id, path, opts)
  local fine, err = localfile.fill(path, function(file) return fetch(self, id, { sink_file = file }, opts) end)
  if fine then return true end
  if errors.is(err) then return nil, err end
  return nil, errors.new {
    kind = "io", operation = "download", what = path, sandbox = self.sandbox, message = tostring(err),
  }
end

local function sink_of(file)
  return function(chunk)
    local fine, why = file:write(chunk)
    if not fine then return false, why end
  end
end

---Fetches a recording (mp4) into a local file, which appears whole or not at
---all, writes it to an open file, or hands its chunks to a function.
---@param recording daytona.Recording|string
---@param target string|file*|fun(chunk: string): any, any
---@param opts? { timeout?: number, idle_timeout?: number, on_progress?: fun(done: integer, total?: integer) }
---@return true?
---@return daytona.Error?
function Recording:download(recording, target, opts)
  local id = group.id_of("recording:download", recording, "recording")
  opts = options.check("recording:download", DOWNLOAD, opts)
  if io.type(target) == "file" then target = sink_of(target) end
  if type(target) == "function" then return fetch(self, id, { sink = target }, opts) end
  options.argument("recording:download: the target", "text", target)
  return fetch_to_path(self, id, target, opts)
end

group.guard(Recording, "recording")

return recordings
