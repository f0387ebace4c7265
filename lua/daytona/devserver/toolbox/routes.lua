--- The daemon's API: every endpoint, in one table. Each is served both at its
-- own path and under /toolbox/{sandbox id}.

local forward = require "daytona.devserver.http.forward"
local access = require "daytona.devserver.toolbox.access"
local activity = require "daytona.devserver.toolbox.activity"
local environment = require "daytona.devserver.toolbox.environment"
local computer = require "daytona.devserver.toolbox.computer_calls"
local code_run = require "daytona.devserver.toolbox.code_run"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local files = require "daytona.devserver.toolbox.files"
local git = require "daytona.devserver.toolbox.git_calls"
local interpreter = require "daytona.devserver.toolbox.interpreter_calls"
local lsp = require "daytona.devserver.toolbox.lsp_calls"
local process = require "daytona.devserver.toolbox.process"
local pty = require "daytona.devserver.toolbox.pty_calls"
local sessions = require "daytona.devserver.toolbox.session_calls"
local recordings = require "daytona.devserver.toolbox.recordings"
local search = require "daytona.devserver.toolbox.search"
local system = require "daytona.devserver.toolbox.system"
local transfer = require "daytona.devserver.toolbox.transfer"
local unistd = require "posix.unistd"

local routes = {}

local VERSION, LEGACY_VERSION = "0.205.1", "v0.190.0"

local function version(req)
  return 200, { version = req.app.legacy and LEGACY_VERSION or VERSION }
end

local function home_dir()
  return 200, { dir = environment.get "HOME" }
end

local function work_dir()
  return 200, { dir = unistd.getcwd() }
end

-- The service's own machines call this, with a token for telemetry.
local function init(req)
  fields.read(req, { token = "string" })
  return 200, { message = "token ignored: the local server sends no telemetry" }
end

-- A preview comes through the control plane, which has taken its own credentials out.
local function of_preview(name, value)
  return name ~= "x-daytona-authorization" and value or nil
end

-- The path after the port goes on as it came, still encoded. The network is the
-- machine's, so the way leads only to what the sandbox itself listens on.
local function proxy(req)
  local port = tonumber(req.params.port:match "^%d+$")
  if not port or port < 1 or port > 65535 then failures.raise(400, "invalid port") end
  local host = system.listens(port)
  if not host then
    failures.raise(502, ("proxy upstream error: nothing in the sandbox listens on port %d"):format(port))
  end
  local rest = forward.without(req.target:match "/proxy/%d+(.*)$", access.QUERY)
  return forward.to(req, port, rest:sub(1, 1) == "/" and rest or "/" .. rest, {
    host = host, pass = req.headers["x-daytona-authorization"] and of_preview or nil,
  })
end

-- { method, path, handler, shape of a failure in 0.190 (default: its envelope),
--   "new" when 0.190 does not have it }
local TABLE = {
  { "GET", "/version", version },
  { "GET", "/user-home-dir", home_dir },
  { "GET", "/project-dir", home_dir },
  { "GET", "/work-dir", work_dir },
  { "POST", "/init", init },
  { "POST", "/env", environment.update, nil, "new" },
  { "GET", "/port", system.ports, "empty" },
  { "GET", "/port/:port/in-use", system.port_in_use, "empty" },
  { "GET", "/system/metrics", system.metrics, nil, "new" },

  { "POST", "/process/execute", process.execute, "execute" },
  { "POST", "/process/code-run", code_run.run },

  { "POST", "/process/session", sessions.create },
  { "GET", "/process/session", sessions.list },
  { "GET", "/process/session/entrypoint", sessions.entrypoint },
  { "GET", "/process/session/entrypoint/logs", sessions.entrypoint_logs },
  { "GET", "/process/session/:session", sessions.get },
  { "DELETE", "/process/session/:session", sessions.delete },
  { "POST", "/process/session/:session/exec", sessions.exec },
  { "GET", "/process/session/:session/command/:command", sessions.command },
  { "GET", "/process/session/:session/command/:command/logs", sessions.logs },
  { "POST", "/process/session/:session/command/:command/input", sessions.input },

  { "POST", "/process/pty", pty.create, "plain" },
  { "GET", "/process/pty", pty.list, "plain" },
  { "GET", "/process/pty/create-connect", pty.create_connect, "plain", "new" },
  { "GET", "/process/pty/:id", pty.get, "plain" },
  { "DELETE", "/process/pty/:id", pty.delete, "plain" },
  { "POST", "/process/pty/:id/resize", pty.resize, "plain" },
  { "GET", "/process/pty/:id/connect", pty.connect, "plain" },

  { "POST", "/process/interpreter/context", interpreter.create, "empty" },
  { "GET", "/process/interpreter/context", interpreter.list, "empty" },
  { "DELETE", "/process/interpreter/context/:id", interpreter.delete, "empty" },
  { "GET", "/process/interpreter/execute", interpreter.execute, "empty" },

  { "GET", "/files", files.list, "empty" },
  { "GET", "/files/", files.list, "empty" },
  { "DELETE", "/files", files.delete, "empty" },
  { "DELETE", "/files/", files.delete, "empty" },
  { "GET", "/files/info", files.info, "empty" },
  { "POST", "/files/folder", files.folder, "empty" },
  { "POST", "/files/move", files.move, "empty" },
  { "POST", "/files/permissions", files.permissions, "empty" },
  { "GET", "/files/find", search.find, "empty" },
  { "GET", "/files/search", search.names, "empty" },
  { "POST", "/files/replace", search.replace, "empty" },
  { "GET", "/files/download", transfer.download, "empty" },
  { "HEAD", "/files/download", transfer.download, "empty", "new" },
  { "POST", "/files/bulk-download", transfer.bulk_download, "plain" },
  { "POST", "/files/upload", transfer.legacy_upload, "empty" },
  { "POST", "/files/upload-v2", transfer.upload, "empty", "new" },
  { "POST", "/files/bulk-upload", transfer.bulk_upload, "plain" },

  { "POST", "/lsp/start", lsp.start, "empty" },
  { "POST", "/lsp/stop", lsp.stop, "empty" },
  { "POST", "/lsp/did-open", lsp.did_open, "empty" },
  { "POST", "/lsp/did-close", lsp.did_close, "empty" },
  { "POST", "/lsp/completions", lsp.completions, "empty" },
  { "GET", "/lsp/document-symbols", lsp.document_symbols, "empty" },
  { "GET", "/lsp/workspacesymbols", lsp.workspace_symbols, "empty" },

  { "POST", "/computeruse/start", computer.start, "plain" },
  { "POST", "/computeruse/stop", computer.stop, "plain" },
  { "GET", "/computeruse/status", computer.status, "plain" },
  { "GET", "/computeruse/process-status", computer.status, "plain" },
  { "GET", "/computeruse/process/:name/status", computer.process, "plain" },
  { "POST", "/computeruse/process/:name/restart", computer.restart, "plain" },
  { "GET", "/computeruse/process/:name/logs", computer.logs, "plain" },
  { "GET", "/computeruse/process/:name/errors", computer.errors, "plain" },
  { "GET", "/computeruse/screenshot", computer.screenshot, "plain" },
  { "GET", "/computeruse/screenshot/region", computer.region, "plain" },
  { "GET", "/computeruse/screenshot/compressed", computer.compressed, "plain" },
  { "GET", "/computeruse/screenshot/region/compressed", computer.compressed_region, "plain" },
  { "GET", "/computeruse/display/info", computer.display_info, "plain" },
  { "GET", "/computeruse/display/windows", computer.windows, "plain" },
  { "GET", "/computeruse/mouse/position", computer.position, "plain" },
  { "POST", "/computeruse/mouse/move", computer.move, "plain" },
  { "POST", "/computeruse/mouse/click", computer.click, "plain" },
  { "POST", "/computeruse/mouse/down", computer.mouse_down, "plain" },
  { "POST", "/computeruse/mouse/up", computer.mouse_up, "plain" },
  { "POST", "/computeruse/mouse/drag", computer.drag, "plain" },
  { "POST", "/computeruse/mouse/scroll", computer.scroll, "plain" },
  { "POST", "/computeruse/keyboard/type", computer.type, "plain" },
  { "POST", "/computeruse/keyboard/key", computer.key, "plain" },
  { "POST", "/computeruse/keyboard/hotkey", computer.hotkey, "plain" },
  { "POST", "/computeruse/keyboard/down", computer.key_down, "plain" },
  { "POST", "/computeruse/keyboard/up", computer.key_up, "plain" },
  { "GET", "/computeruse/a11y/tree", computer.accessibility, "plain" },
  { "POST", "/computeruse/a11y/find", computer.accessibility, "plain" },
  { "POST", "/computeruse/a11y/node/focus", computer.accessibility, "plain" },
  { "POST", "/computeruse/a11y/node/invoke", computer.accessibility, "plain" },
  { "POST", "/computeruse/a11y/node/value", computer.accessibility, "plain" },
  { "POST", "/computeruse/recordings/start", recordings.start, "plain" },
  { "POST", "/computeruse/recordings/stop", recordings.stop, "plain" },
  { "GET", "/computeruse/recordings", recordings.list, "plain" },
  { "GET", "/computeruse/recordings/:id", recordings.get, "plain" },
  { "DELETE", "/computeruse/recordings/:id", recordings.delete, "plain" },
  { "GET", "/computeruse/recordings/:id/download", recordings.download, "plain" },

  { "POST", "/git/clone", git.clone, "git" },
  { "POST", "/git/init", git.init, "git", "new" },
  { "POST", "/git/add", git.add, "git" },
  { "POST", "/git/commit", git.commit, "git" },
  { "GET", "/git/status", git.status, "git" },
  { "GET", "/git/branches", git.branches, "git" },
  { "POST", "/git/branches", git.create_branch, "git" },
  { "DELETE", "/git/branches", git.delete_branch, "git" },
  { "POST", "/git/checkout", git.checkout, "git" },
  { "POST", "/git/pull", git.pull, "git" },
  { "POST", "/git/push", git.push, "git" },
  { "GET", "/git/history", git.history, "git" },
  { "POST", "/git/reset", git.reset, "git", "new" },
  { "POST", "/git/restore", git.restore, "git", "new" },
  { "GET", "/git/remotes", git.remotes, "git", "new" },
  { "POST", "/git/remotes", git.add_remote, "git", "new" },
  { "GET", "/git/config", git.get_config, "git", "new" },
  { "POST", "/git/config", git.set_config, "git", "new" },
  { "POST", "/git/config/user", git.configure_user, "git", "new" },
  { "POST", "/git/credentials", git.credentials, "git", "new" },
}

-- The paths that a signed URL may name.
local SIGNED = { ["/files/download"] = true, ["/files/upload-v2"] = true }

local function add(app, entry, prefix)
  local method, path, handler, shape = entry[1], entry[2], entry[3], entry[4]
  app:route(method, prefix .. path, function(req)
    req.legacy_shape = shape
    req.full_path = req.full_path:sub(#prefix + 1)   -- as failures name it
    activity.begin(req)
    return handler(req)
  end, SIGNED[path] and { auth = access.signed } or nil)
end

local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" }

for _, method in ipairs(METHODS) do
  table.insert(TABLE, { method, "/proxy/:port", proxy, "empty" })
  table.insert(TABLE, { method, "/proxy/:port/*rest", proxy, "empty" })
end

--- Adds every endpoint that this release of the daemon has.
---@param app table  of httpd
---@param config table
function routes.install(app, config)
  for _, entry in ipairs(TABLE) do
    if not (config.legacy and entry[5] == "new") then
      add(app, entry, "")
      add(app, entry, "/toolbox/" .. config.sandbox_id)
    end
  end
end

local ENTITY = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&#34;" }

--- Answers a request for a path that is none: with the way to the one that differs by
-- a slash at its end, where there is one. For httpd's `not_found`.
function routes.missing(req)
  local path, query = req.target:match "^([^?]*)(.*)$"
  local other = path:match "^(.+)/$" or path .. "/"
  if req.app:has_route(req.method, other) then
    if req.method ~= "GET" then return 307, "", { location = other .. query } end
    return 301, ('<a href="%s">Moved Permanently</a>.\n\n'):format((other:gsub('[&<>"]', ENTITY))),
      { location = other .. query, ["content-type"] = "text/html; charset=utf-8" }
  end
  return 404, "404 page not found", { ["content-type"] = "text/plain" }
end

return routes
