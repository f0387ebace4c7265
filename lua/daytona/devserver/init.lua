-- Starts the local server as a child of this program, for tests and for trying
-- things out without an account. Runs in any Lua the client runs in; the server
-- itself is another program (bin/daytona-devserver, LuaJIT).
--
--   local server = assert(require "daytona.devserver".start {})
--   local client = daytona.new { api_url = server.api_url, api_key = server.api_key }
--   ...
--   server:stop()
--
-- The server ends with this program, however that ends: it watches the pipe that
-- this program reads from.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local devserver = {}

---@class daytona.devserver.Server
---@field api_url string
---@field api_key string
---@field dir string          where it keeps its sandboxes
---@field isolated boolean    whether bubblewrap isolates them
---@field certificate? string path of the certificate, with `tls`
local Server = {}
Server.__index = Server
Server.__name = "daytona.devserver"

---@private
function Server:__tostring()
  return ("local server (%s%s)"):format(self.api_url, self.pipe and "" or ", stopped")
end

-- The program beside these files (a checkout, or an installed tree), or in PATH.
local function program()
  local here = debug.getinfo(1, "S").source:match("^@(.*)lua/daytona/devserver/init%.lua$")
    or debug.getinfo(1, "S").source:match("^@(.*)share/lua/[%d.]+/daytona/devserver/init%.lua$")
  if here then
    local path = (here == "" and "./" or here) .. "bin/daytona-devserver"
    local file = io.open(path)
    if file then
      file:close()
      return path
    end
  end
  return "daytona-devserver"
end

-- 0 and none: one that is free.
local function is_own_port(value)
  return value == 0 or (options.is_port(value)), "a port, or 0 for one that is free"
end

local OPTIONS = {
  port = is_own_port, dir = "text", key = "text", faults = "table", lua = "text", legacy = "text",
  time_scale = "number", tls = "boolean", strict = "boolean", lag = "boolean", limits = "any", throttle = "table",
}

local function command_line(opts)
  local words = { "exec", shell.quote(program()), "--child" }
  local function add(name, value)
    if value then words[#words + 1] = ("--%s %s"):format(name, shell.quote(tostring(value))) end
  end
  add("port", opts.port)
  add("dir", opts.dir)
  add("time-scale", opts.time_scale)
  add("legacy", opts.legacy)
  add("limits", opts.limits and json.encode(opts.limits))
  add("throttle", opts.throttle and json.encode(opts.throttle))
  if opts.strict then words[#words + 1] = "--strict" end
  if opts.lag then words[#words + 1] = "--lag" end
  if opts.tls then words[#words + 1] = "--tls" end
  local line = table.concat(words, " ")
  if opts.key then line = "DAYTONA_DEVSERVER_KEY=" .. shell.quote(opts.key) .. " " .. line end
  if opts.lua then line = "DAYTONA_LUAJIT=" .. shell.quote(opts.lua) .. " " .. line end
  return line
end

---Starts a local server. `dir` keeps sandboxes (default: a temporary folder that is
---removed at the end), `key` is the API key (default: random), `port` 0 or none
---means any, `faults` is a list as daytona/devserver/http/faults.lua describes it,
---`time_scale` makes its clock run faster, `tls` makes it HTTPS with a certificate
---nobody trusts, `legacy = "0.190"` makes it answer as that release did, `strict` makes it
---refuse what today's published contract does not have, `lag` makes states last as long
---as with the service, `limits` are limits and quotas (see
---daytona/devserver/control/limits.lua; true: those of the smallest tier), `throttle` are
---throttlers (see daytona/devserver/control/throttle.lua), `lua` names
---the LuaJIT to run it with. Returns nil and an error when it cannot start.
---@param opts? { port?: integer, dir?: string, key?: string, faults?: table[], lua?: string, legacy?: string, time_scale?: number, tls?: boolean, strict?: boolean, lag?: boolean, limits?: true|table, throttle?: table }
---@return daytona.devserver.Server? server
---@return daytona.Error? err
function devserver.start(opts)
  opts = options.check("devserver.start", OPTIONS, opts)
  local pipe, why = io.popen(command_line(opts), "r")
  if not pipe then
    return nil, errors.new { kind = "io", message = "cannot start the local server: " .. tostring(why) }
  end
  local line = pipe:read("*l")
  local facts = line and json.decode(line)
  if type(facts) ~= "table" then
    pipe:close()
    return nil, errors.new {
      kind = "io", message = "the local server did not start (its reason is on standard error)",
    }
  end
  local server = setmetatable({
    pipe = pipe, api_url = facts.api_url, api_key = facts.api_key, dir = facts.dir,
    isolated = facts.isolated, certificate = facts.certificate, pid = facts.pid,
  }, Server)
  if opts.faults then
    local ok, err = server:faults(opts.faults)
    if not ok then
      server:stop()
      return nil, err
    end
  end
  return server
end

local function is_set(variable)
  return (os.getenv(variable) or "") ~= ""
end

local function tell(server)
  io.stderr:write("no DAYTONA_API_KEY is set: using a local server at ", server.api_url, "\n")
  if server.isolated then return end
  io.stderr:write("(bubblewrap is missing or not allowed here: its sandboxes are NOT isolated from this machine)\n")
end

---A client for trying things out: of the service that the environment names a key for, else
---of a local server that is started for this program and ends with it (one line on standard
---error says so, unless `quiet`). That server is the client's `server`. nil and an error
---where the environment says too little or the server cannot start.
---@param opts? { quiet?: boolean }
---@return daytona.Client? client
---@return daytona.Error? err
function devserver.client(opts)
  opts = options.check("devserver.client", { quiet = "boolean" }, opts)
  local new = require("daytona.control.client").new
  if is_set "DAYTONA_API_KEY" or is_set "DAYTONA_JWT_TOKEN" then return new() end
  local server, err = devserver.start()
  if not server then return nil, err end
  if not opts.quiet then tell(server) end
  local client
  client, err = new { api_url = server.api_url, api_key = server.api_key }
  if not client then
    server:stop()
    return nil, err
  end
  client.server = server -- as long as the client is there
  return client
end

---Ends the server and its sandboxes' processes; returns when they are gone.
function Server:stop()
  if self.client then
    self.client:close()
    self.client = nil
  end
  local pipe = self.pipe
  self.pipe = nil
  if pipe then pipe:close() end
end

Server.close = Server.stop
---@private
Server.__close = Server.stop

local function call(self, method, path, body)
  if not self.pipe then errors.misuse(2, "attempt to use a stopped local server") end
  self.client = self.client or require("daytona").new {
    api_url = self.api_url, api_key = self.api_key, ca_file = self.certificate,
  }
  local response, err = self.client:request(method, "/__devserver/" .. path, { json = body })
  if not response then return nil, err end
  return response.json or true
end

---Adds faults: one, or a list (see daytona/devserver/http/faults.lua). Returns all.
---@param list table
---@return table[]? faults, daytona.Error? err
function Server:faults(list)
  return call(self, "POST", "faults", list)
end

---Removes all faults.
---@return true? ok, daytona.Error? err
function Server:clear_faults()
  return call(self, "DELETE", "faults")
end

---What was received since the start, or since `forget_requests`: a list of
---`{ method, path, status, at, sandbox }`; those of daemons name their sandbox.
---@return table[]? requests, daytona.Error? err
function Server:requests()
  return call(self, "GET", "requests")
end

---Forgets what was received so far: `requests` begins anew.
---@return true? ok, daytona.Error? err
function Server:forget_requests()
  return call(self, "DELETE", "requests")
end

---Numbers: connections, requests, sandboxes by state, daemons, children, isolated.
---@return table? stats, daytona.Error? err
function Server:stats()
  return call(self, "GET", "stats")
end

---The address of a page for a browser on this machine that shows what goes on in the
---server. It is good once.
---@return string? url, daytona.Error? err
function Server:page()
  local answer, err = call(self, "GET", "page")
  return answer and answer.url, err
end

---Moves the server's clock forward by `seconds`.
---@param seconds number
---@return table? clock, daytona.Error? err
function Server:advance(seconds)
  return call(self, "POST", "clock", { advance = seconds })
end

---Makes the server's clock run `scale` times as fast as it should, from now on.
---@param scale number
---@return table? clock, daytona.Error? err
function Server:set_time_scale(scale)
  return call(self, "POST", "clock", { scale = scale })
end

---Changes switches of a server that runs: `strict`, `lag`, `limits`, `throttle` as `start`
---has them (false turns one off), and `open_build_logs`, with which the stream of a build's
---log stays open after the build's end.
---@param switches { strict?: boolean, lag?: boolean, limits?: boolean|table, throttle?: false|table, open_build_logs?: boolean }
---@return table? done, daytona.Error? err
function Server:configure(switches)
  return call(self, "PUT", "settings", switches)
end

---Adds `count` stopped sandboxes that exist in the list only.
---@param count integer
---@param prefix? string  of their names, "seed-" by default
---@return table? done, daytona.Error? err
function Server:seed(count, prefix)
  return call(self, "POST", "seed", { count = count, prefix = prefix })
end

return devserver
