-- A local server, a client and a sandbox, the operations that the specs of
-- failures put to the test, and what must be true after each of them.
--
--   local trials = require "spec.support.trial"
--   local trial = trials.start()                  -- in setup
--   trial:begin()                                 -- in before_each
--   for _, operation in ipairs(trials.operations()) do
--     trial:prepare(operation)                    -- what it needs, before any fault
--     trial:fault(operation, { empty = true })
--     local result, err = trial:run(operation)
--     trial:after(err)    -- nothing leaked, nothing left behind, still usable
--   end
--   trial:stop()                                  -- in teardown
--
-- Questions to the server take another name of this machine than the client
-- does, and so connections of their own.

local check = require "luassert"
local compat = require "daytona.base.compat"
local core = require "daytona.base.native"
local daytona = require "daytona"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"
local shell = require "daytona.base.shell"

local Trial = {}
Trial.__index = Trial

-- What no error may show: the key is added when it is known.
local PASSWORD, ENV_VALUE = "pass-of-git-9041", "value-of-env-5522"

-- More sockets than the idle connections to a handful of addresses are a leak.
local SOCKETS = 10

---Bytes of the file "big.bin" in the sandbox.
Trial.SIZE = 300000

--- The operations ---------------------------------------------------------------------

-- `path` is what a fault is told; `box` is a sandbox of its own, for what changes
-- its state; `deadline` says which option limits it ("client": the client's).
-- `says` is the name it goes by in errors, `leaves` the file that a success makes over there,
-- `secret` what is sent with it and must not be shown.
local OPERATIONS = {
  { name = "create", method = "POST", path = "/sandbox", deadline = "timeout", secret = ENV_VALUE,
    run = function(t, opts) return t.client:create(t.merge({ env = { SECRET = ENV_VALUE } }, opts)) end },
  { name = "list", method = "GET", path = "/sandbox", safe = true, deadline = "client",
    run = function(t) return t.client:list() end },
  { name = "each", says = "list", method = "GET", path = "/sandbox", safe = true, deadline = "client",
    run = function(t)
      local fine, err = pcall(function()
        for box in t.client:each() do assert(box.id) end
      end)
      if fine then return true end
      return nil, err
    end },
  { name = "get", method = "GET", path = "/sandbox/*", safe = true, deadline = "client",
    run = function(t) return t.client:get(t.box.name) end },
  { name = "start", method = "POST", path = "/sandbox/*/start", changes = true, stopped = true, deadline = "timeout",
    run = function(t, opts) return t.client:start(t.spare, opts) end },
  { name = "stop", method = "POST", path = "/sandbox/*/stop", changes = true, deadline = "timeout",
    run = function(t, opts) return t.client:stop(t.spare, opts) end },
  { name = "delete", method = "DELETE", path = "/sandbox/*", safe = true, changes = true, deadline = "timeout",
    run = function(t, opts) return t.client:attach(t.spare):delete(opts) end },
  { name = "exec", method = "POST", path = "/process/execute", inside = true, secret = ENV_VALUE,
    run = function(t, opts)
      return t.box:exec("echo ran >> ran.log", t.merge({ env = { SECRET = ENV_VALUE } }, opts))
    end },
  { name = "run", method = "POST", path = "/process/code-run", inside = true, secret = ENV_VALUE,
    run = function(t, opts)
      return t.box:run("open('ran.log', 'a').write('ran\\n')", t.merge({ env = { SECRET = ENV_VALUE } }, opts))
    end },
  { name = "upload", method = "POST", path = "/files/bulk-upload", inside = true, safe = true, deadline = "timeout",
    leaves = "up.bin 300000\n",
    run = function(t, opts) return t.box.fs:upload(t.dir .. "/source.bin", "up.bin", opts) end },
  { name = "write", says = "upload", method = "POST", path = "/files/bulk-upload", inside = true, safe = true,
    deadline = "timeout", leaves = "up.bin 9\n",
    run = function(t, opts) return t.box.fs:write("up.bin", "some data", opts) end },
  { name = "download", method = "GET", path = "/files/download", inside = true, safe = true, deadline = "timeout",
    run = function(t, opts) return t.box.fs:download("big.bin", t.dir .. "/down.bin", opts) end },
  { name = "read", method = "GET", path = "/files/download", inside = true, safe = true, deadline = "timeout",
    run = function(t, opts) return t.box.fs:read("big.bin", opts) end },
  { name = "fs.list", says = "list", method = "GET", path = "/files", inside = true, safe = true, deadline = "client",
    run = function(t) return t.box.fs:list() end },
  { name = "clone", method = "POST", path = "/git/clone", inside = true, deadline = "timeout", secret = PASSWORD,
    run = function(t, opts)
      return t.box.git:clone("http://127.0.0.1:9/repo.git", "cloned",
        t.merge({ username = "me", password = PASSWORD }, opts))
    end },
}

-- PUC 5.1 raises strings, and cannot wait in an iterator in a task.
local function usable(operation)
  return compat.pcall_yields or operation.name ~= "each"
end

---The operations, in order; all of them, or those that `keep` is true of.
---@param keep? fun(operation: table): any
function Trial.operations(keep)
  local list = {}
  for _, operation in ipairs(OPERATIONS) do
    if usable(operation) and (not keep or keep(operation)) then list[#list + 1] = operation end
  end
  return list
end

---One operation by name.
function Trial.operation(name)
  for _, operation in ipairs(OPERATIONS) do
    if operation.name == name then return operation end
  end
  error("no operation " .. name)
end

function Trial.merge(into, from)
  for name, value in pairs(from or {}) do into[name] = value end
  return into
end

--- Looking at this process and its files --------------------------------------------------

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

---Waits until fn() is true, for at most 10 seconds, meanwhile running tasks.
function Trial.eventually(fn, what)
  local limit = loop.now() + 10
  repeat
    local value = fn()
    if value then return value end
    daytona.sleep(0.005)
  until loop.now() > limit
  error("did not happen: " .. (type(what) == "function" and what() or what), 2)
end

-- How many descriptors of each kind this process has open: "socket:[N]", ...
local function descriptors()
  local count = {}
  for line in output_of("ls -l /proc/$PPID/fd 2>/dev/null"):gmatch "[^\n]+" do
    local target = line:match " %-> (.*)$"
    if target then
      target = target:gsub("%d+", "N")
      count[target] = (count[target] or 0) + 1
    end
  end
  return count
end

-- What is open beyond what was at the start, but for idle connections; nil when
-- nothing is. Other specs of this process may have left some to the collector.
local function leaked(before)
  for target, n in pairs(descriptors()) do
    local allowed = (before[target] or 0) + (target:find "^socket:" and SOCKETS or 0)
    if n > allowed then return ("%d of %s, not %d"):format(n, target, allowed) end
  end
end

--- One trial ------------------------------------------------------------------------------

---A client of the server with further options.
function Trial:connect(opts)
  local client = assert(daytona.new(self.merge({
    api_url = self.server.api_url, api_key = self.server.api_key, max_retries = 0,
    events = false, -- how often is looked is counted here
  }, opts)))
  client.goes_ahead = false -- and what is under way
  return client
end

---Makes the operations go through this client, and (else as it is) to this
---address of the sandbox.
function Trial:use(client, address)
  self.client = client
  self.box = client:attach(self.home.id)
  self.box.name = self.home.name
  self.box.toolbox_proxy_url = address or self.home.toolbox_proxy_url
end

-- What is in the sandbox's working directory beyond what was there from the
-- start, as a sorted list of "name size", and how often the command ran.
local function look_inside(self)
  local r = assert(self.home:exec [[
    find . -mindepth 1 -maxdepth 1 ! -name big.bin ! -name ran.log ! -name .cache -printf '%f %s\n' | sort
    echo "ran $(cat ran.log 2>/dev/null | wc -l)"
  ]])
  local files, times = r.result:match "^(.*)ran +(%d+)\n$"
  return files, tonumber(times)
end

---Back to the client that everything is fine with, and to a server without
---faults.
function Trial:reset()
  self:use(self.good)
  assert(self.server:clear_faults())
  if self.spare_home then assert(self.spare_home:delete { wait = true }) end
  self.spare, self.spare_home, self.last, self.begun = nil, nil, nil, 0
end

-- Away with what a case left in the sandbox and here.
local function sweep(self)
  assert(self.home:exec "find . -mindepth 1 -maxdepth 1 ! -name big.bin ! -name .cache -exec rm -rf {} +")
  os.remove(self.dir .. "/down.bin")
end

---Before each case, whatever became of the one before.
function Trial:begin()
  if not self.clean then
    self:reset()
    sweep(self)
  end
  self.clean = false
  assert(self.server:forget_requests())
end

---Makes the next operation's own sandbox, if it needs one. Before any fault.
function Trial:prepare(operation)
  if not operation.changes then return end
  self.spares = (self.spares or 0) + 1
  self.spare_home = assert(self.good:create { name = "spare-" .. self.spares })
  if operation.stopped then assert(self.spare_home:stop()) end
  self.spare = self.spare_home.id
end

---Runs the operation, with a sandbox of its own if it changes one.
function Trial:run(operation, opts)
  if operation.changes and not self.spare then self:prepare(operation) end
  return operation.run(self, opts)
end

---A fault for the endpoint of this operation.
function Trial:fault(operation, fault)
  assert(self.server:faults {
    self.merge({ method = operation.method, path = operation.path }, fault),
  })
end

---How many requests to the endpoint of this operation were answered or given up.
function Trial:requests(operation)
  local n = 0
  local pattern = "^" .. operation.path:gsub("%-", "%%-"):gsub("%*", "[^/]*") .. "$"
  for _, entry in ipairs(assert(self.server:requests())) do
    if entry.method == operation.method and entry.path:find(pattern) then n = n + 1 end
  end
  return n
end

---Whether a part of the last request left, and of its answer arrived.
---@return boolean sent, boolean answered
function Trial:progress()
  if not self.last or self.last.done then return false, false end
  return self.last.transfer:trace()
end

local function secrets_in(value, secrets, seen, path)
  if type(value) == "string" then
    for _, secret in ipairs(secrets) do
      if value:find(secret, 1, true) then error("a secret in " .. path .. ": " .. value, 0) end
    end
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for name, item in pairs(value) do
      if name ~= "sandbox" then secrets_in(item, secrets, seen, path .. "." .. tostring(name)) end
    end
  end
end

---What the error must not show.
function Trial:check_secrets(err)
  local secrets = { self.server.api_key, PASSWORD, ENV_VALUE }
  secrets_in(err, secrets, {}, "err")
  secrets_in(tostring(err), secrets, {}, "tostring(err)")
  if type(err) == "table" and err.sandbox then secrets_in(tostring(err.sandbox), secrets, {}, "tostring(sandbox)") end
end

local function states_of(server)
  local list = {}
  for state, n in pairs(assert(server:stats()).sandboxes) do
    if n > 0 then list[#list + 1] = state .. " " .. n end
  end
  table.sort(list)
  return table.concat(list, ", ")
end

---What must be true after an operation, however it ended. Removes all faults.
---Returns how often the command of `exec` and `run` was run meanwhile.
---@param err? any
---@param expected? { inside?: string, perhaps?: string, here?: string, later?: boolean }
---  what there is beyond what was: in the sandbox, or there if anything, and here; whether
---  the client may go on in the background, as the service refuses while the faults last
---@return integer
function Trial:after(err, expected)
  expected = expected or {}
  if err ~= nil then self:check_secrets(err) end
  if expected.later then
    assert(self.server:set_time_scale(1))
    self:reset()
    self.eventually(function() return not loop.busy() end, "the end of what goes on in the background")
  end
  check.is_false(loop.busy(), "something is still in flight")
  local stats = loop.engine():stats()
  check.equal(0, stats.running, "transfers running")
  check.equal(0, stats.queued, "transfers queued")
  self:reset()
  local inside, times
  local wanted = expected.inside or expected.perhaps or ""
  -- What was given up may take a moment to notice.
  self.eventually(function()
    inside, times = look_inside(self)
    return inside == wanted or (expected.perhaps and inside == "")
  end, function() return ("in the sandbox %q, but %q"):format(wanted, inside) end)
  check.equal((expected.here or "") .. "source.bin\n", output_of("ls -A " .. shell.quote(self.dir)))
  if inside ~= "" or times > 0 or expected.here then sweep(self) end
  self.eventually(function() return states_of(self.server) == "started 1" end,
    function() return "no sandbox left behind, but " .. states_of(self.server) end)
  self.eventually(function() return not leaked(self.descriptors) end, function() return leaked(self.descriptors) end)
  self.clean = true
  return times
end

---Ends the server; removes the local files.
function Trial:stop()
  loop.start, loop.call, self.engine.exchange = self.real_start, self.real_call, self.real_exchange
  self.good:close()
  self.patient:close()
  self.server:stop()
  os.execute("rm -rf " .. shell.quote(self.dir))
end

-- A transfer like an op, whose end may come unseen.
local function watched(transfer)
  local function is_done()
    local open, status, code = pcall(transfer.result, transfer)
    return not open or status ~= nil or code ~= nil
  end
  return setmetatable({ transfer = transfer }, {
    __index = function(_, key) return key == "done" and is_done() or nil end,
  })
end

---Starts it all; `client` are options of the client.
---@param opts? { client?: table }
local function start(opts)
  opts = opts or {}
  local self = setmetatable({}, Trial)
  self.server = assert(devserver.start {})
  local another = core.new()
  self.engine = getmetatable(another).__index
  another:close()
  self.real_start, self.real_call, self.real_exchange = loop.start, loop.call, self.engine.exchange
  local url_of = setmetatable({}, { __mode = "k" })
  loop.call = function(profile, method, url, ...)
    local call = self.real_call(profile, method, url, ...)
    if call then url_of[call] = url end
    return call
  end
  self.dir = output_of("mktemp -d"):gsub("\n", "")
  self.server.client = daytona.new {
    api_url = (self.server.api_url:gsub("127%.0%.0%.1", "localhost")), api_key = self.server.api_key,
  }
  self.good = self:connect(opts.client)
  self.patient = self:connect { max_retries = 3 }
  self.home = assert(self.good:create { name = "home", auto_stop_interval = 0 }) -- the clock is made to run fast
  self:reset()
  local file = assert(io.open(self.dir .. "/source.bin", "wb"))
  file:write(("0123456789"):rep(Trial.SIZE / 10))
  file:close()
  assert(self.home.fs:upload(self.dir .. "/source.bin", "big.bin"))
  assert(self.home:exec "true")
  assert(self.server:stats())
  local function count(op, url)
    if op and not url:find("//localhost", 1, true) then self.last, self.begun = op, self.begun + 1 end
  end
  loop.start = function(request)
    local op, why = self.real_start(request)
    count(op, request.url)
    return op, why
  end
  self.engine.exchange = function(engine, out, wait, call, ...)
    local status, first, text = self.real_exchange(engine, out, wait, call, ...)
    if not status and out[1] then count(watched(out[1]), url_of[call]) end
    return status, first, text
  end
  self.descriptors = descriptors()
  return self
end

return { start = start, operations = Trial.operations, operation = Trial.operation }
