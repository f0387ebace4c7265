-- The control plane's routes for tests and for the curious: faults, the log of
-- requests, numbers, the clock, synthetic sandboxes. All need the key.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local request = require "http.request"
local checks = require "daytona.devserver.control.checks"
local children = require "daytona.devserver.control.children"
local sandboxes = require "daytona.devserver.control.sandboxes"
local json = require "daytona.devserver.http.json"

local admin = {}

local PATIENCE = 5   -- seconds a daemon may take to answer

local function ask(box, method, path, body)
  local uri = ("http://127.0.0.1:%d/toolbox/%s%s"):format(box.daemon.port, box.id, path)
  local r = request.new_from_uri(uri)
  r.headers:upsert(":method", method)
  r.headers:upsert("authorization", "Bearer " .. box.daemon.key)
  r.headers:upsert("connection", "close")
  r.headers:upsert("x-daytona-skip-last-activity-update", "true")
  if body then
    r.headers:upsert("content-type", "application/json")
    r:set_body(json.encode(body))
  end
  local headers, stream = r:go(PATIENCE)
  local text = headers and stream:get_body_as_string(PATIENCE)
  if stream and headers then stream:shutdown() end
  if headers and headers:get(":status"):sub(1, 1) == "2" then return text end
end

---Sends a request to a sandbox's daemon, if it runs. Returns the body of a 2xx.
---@param box table
---@param method string
---@param path string
---@param body? table
---@return string?
function admin.ask(box, method, path, body)
  if not box.daemon or not box.daemon:running() then return nil end
  local ok, text = pcall(ask, box, method, path, body)
  return ok and text or nil
end

-- The same to all running daemons at once; fn gets each box and its answer.
local function ask_all(context, method, path, body, fn)
  local left, done = 0, condition.new()
  for _, box in pairs(context.store.by_id) do
    if box.daemon and box.daemon:running() then
      left = left + 1
      cqueues.running():wrap(function()
        local text = admin.ask(box, method, path, body)
        if fn and text then fn(box, text) end
        left = left - 1
        done:signal()
      end)
    end
  end
  while left > 0 do cqueues.poll(done) end
end

local function add_faults(context)
  context.faults:install(context.app, nil, {
    changed = function(method, body)
      context.life.rules_changed:signal()
      ask_all(context, method, "/__devserver/faults", body)
    end,
    requests = function(log)
      local all = json.array {}
      for i, entry in ipairs(log) do all[i] = entry end
      ask_all(context, "GET", "/__devserver/requests", nil, function(box, text)
        for _, entry in ipairs(json.decode(text) or {}) do
          entry.sandbox = box.id
          all[#all + 1] = entry
        end
      end)
      return all
    end,
    forget = function() ask_all(context, "DELETE", "/__devserver/requests") end,
  })
end

local function stats(context)
  local numbers = context.app:stats()
  local states, daemons, starts = {}, 0, 0
  for _, box in pairs(context.store.by_id) do
    states[box.state] = (states[box.state] or 0) + 1
    if box.daemon then
      starts = starts + box.daemon.starts
      if box.daemon:running() then daemons = daemons + 1 end
    end
  end
  numbers.sandboxes, numbers.daemons, numbers.daemon_starts = states, daemons, starts
  numbers.children = children.count()
  numbers.isolated = context.isolated
  numbers.isolation = context.isolation or "none"
  numbers.now = context.clock:now()
  return numbers
end

local function set_clock(context, req)
  local body = req:json()
  local scale, seconds = body.scale, body.advance
  if scale ~= nil and (type(scale) ~= "number" or scale <= 0) then checks.bad("scale must be positive") end
  if seconds ~= nil and (type(seconds) ~= "number" or seconds < 0) then
    checks.bad("advance must not be negative")
  end
  if scale then context.clock:set_scale(scale) end
  if seconds then context.clock:advance(seconds) end
  ask_all(context, "PUT", "/__devserver/clock", { now = context.clock:now(), scale = context.clock.scale })
  return 200, { now = context.clock:now(), scale = context.clock.scale }
end

-- Switches: what is given is set, null or false turns it off.
local SETTINGS = {
  strict = "app", lag = "life", limits = "context", open_build_logs = "context", throttle = "throttle",
}

local function set_switches(context, req)
  local places = { app = context.app, life = context.life, context = context, throttle = context.throttle }
  for name, value in pairs(req:json()) do
    local place = places[SETTINGS[name] or ""]
    if not place then checks.bad("unknown setting: %s", tostring(name)) end
    if value == json.null then value = false end
    if name == "throttle" then
      place.set, place.counts = value or {}, {}
    else
      place[name] = value
    end
  end
  return 200, {}
end

-- Stopped sandboxes that exist in the list only: no folder, no timer.
local function seed(context, req)
  local body = req:json()
  local count, prefix = body.count, body.prefix or "seed-"
  if type(count) ~= "number" or count < 1 or count > 1e6 then checks.bad("count must be from 1 to 1000000") end
  local base = context.clock:now()
  for i = 1, count do
    local name = ("%s%06d"):format(prefix, i)
    if not context.store.by_name[name] then
      local t = base - count + i
      context.store:insert {
        synthetic = true, id = sandboxes.uuid(), name = name, user = "daytona", env = {},
        labels = body.labels or {}, public = false, target = "local",
        snapshot = sandboxes.SNAPSHOT, class = "container", cpu = 1, memory = 1, disk = 3, gpu = 0,
        state = "stopped", desired = "stopped", auto_stop = 15, auto_pause = 0,
        auto_archive = 10080, auto_delete = -1, network_block_all = false,
        created = t, updated = t, activity = t, stopped_at = t,
      }
    end
  end
  return 200, { count = count }
end

---Adds the routes.
---@param context table  as routes.add has it, with faults, key and isolation
function admin.add(context)
  add_faults(context)
  local app = context.app
  app:route("GET", "/__devserver/stats", function() return 200, stats(context) end)
  app:route("POST", "/__devserver/clock", function(req) return set_clock(context, req) end)
  app:route("PUT", "/__devserver/settings", function(req) return set_switches(context, req) end)
  app:route("POST", "/__devserver/seed", function(req) return seed(context, req) end)
end

return admin
