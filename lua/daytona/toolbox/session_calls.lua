-- The daemon's calls about sessions and the commands in them. The subject is a session or
-- a command.

local calls = require "daytona.toolbox.calls"

-- What old daemons say, with status 500, of a shell that is no more.
local SHELL_GONE = { "broken pipe", "failed to write command", "session cancelled" }

local function says(err, texts)
  for i = 1, #texts do
    if err.message:find(texts[i], 1, true) then return true end
  end
  return false
end

-- The same condition has one kind and one code, whatever the daemon's age.
local function normalised(err)
  if err.status == 500 and err.kind == "not_found" then
    err.code = "PROCESS_NOT_FOUND"
  elseif err.status == 500 and says(err, SHELL_GONE) then
    err.kind, err.code, err.retryable = "gone", "SESSION_ENDED", false
  end
  return err
end

local SESSION = "/process/session/{id}"
local COMMAND = "/process/session/{session}/command/{id}"
local ENTRYPOINT = "/process/session/entrypoint"

local rows = {
  create  = { "POST",   "/process/session", operation = "session create", what = "session_id",
              safe = true }, -- repeated, it is there
  list    = { "GET",    "/process/session", "list", operation = "session list" },
  get     = { "GET",    SESSION, "object", operation = "session get" },
  delete  = { "DELETE", SESSION, operation = "session delete" },
  exec    = { "POST",   SESSION .. "/exec", "object", operation = "session exec" },
  command = { "GET",    COMMAND, "object", operation = "session command" },
  logs    = { "GET",    COMMAND .. "/logs", "response", operation = "session logs" },
  input   = { "POST",   COMMAND .. "/input", operation = "session input" },
  entrypoint      = { "GET", ENTRYPOINT, "object" },
  entrypoint_logs = { "GET", ENTRYPOINT .. "/logs", "response", operation = "entrypoint logs" },
}

for _, row in pairs(rows) do row.explain = normalised end

local session_calls = calls.of_daemon(rows)

return session_calls
