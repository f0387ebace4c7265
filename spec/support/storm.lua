-- A storm: programs that make, use and delete sandboxes of the local server while it commits
-- faults on every route, answers late, goes away and comes back, and while they are killed
-- at random moments. Afterwards one `reap`; then the server's own books are read.
--
--   local report = require("spec.support.storm").run { tasks = 24, workers = 3, seed = 1 }
--   report.made used failed kills vanished struck reaped   how much there was of it
--   report.doubled   creations of which there were two sandboxes at once
--   report.late      creations of which there was another one after the first was deleted: its
--                    request had been held back (doc/cleaning-up.md says where exactly-once ends)
--   report.lost      sandboxes that were gone under a program that used them
--   report.wrong     commands whose result was another's
--   report.unfinished  tasks that did not come to an end
--   report.left      sandboxes after the end of all programs and one reap

local child = require "spec.support.child"
local daytona = require "daytona"
local loop = require "daytona.loop"
local random = require "daytona.base.random"
local vanishing = require "spec.support.vanishing"

-- In all: 5 % of the requests.
local KINDS = {
  { reset = true }, { drop = true, handled = true }, { status = 502 }, { status = 503, handled = true },
  { empty = true, handled = true }, { invalid_json = true, handled = true }, { garbage = true }, { hold = 1.5 },
  { method = "POST", path = "/sandbox", delay = 3 }, { method = "DELETE", path = "/sandbox/*", hold = 3 },
}
local SHARE = 0.05

-- One program: its tasks are FIRST, FIRST + STEP, ... up to LAST. What it does is noted in
-- its log, each line before or after what it tells of.
local WORKER = [[
local url, key, ledger, log, first, step, last, seed =
  ARG:match "(%S+) (%S+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+)"
local daytona, random = require "daytona", require "daytona.base.random"
daytona.on_unhandled(function() end)
local client = assert(daytona.new { api_url = url, api_key = key, ledger = ledger, timeout = 10 })
local function note(...)
  local file = assert(io.open(log, "a"))
  file:write(table.concat({ ... }, " "):gsub("\n", " "), "\n")
  file:close()
end
local function once(number)
  local attempt = number .. "-" .. random.hex(4)
  note("begin", attempt)
  local box, err = client:create { labels = { storm = seed, attempt = attempt }, timeout = 4, lease = 600 }
  if not box then return note("failed", attempt, tostring(err)) end
  note("made", attempt, box.id)
  local result
  result, err = box:exec("echo " .. attempt, { timeout = 10 })
  if result then note(result.result == attempt .. "\n" and "used" or "wrong", attempt)
  else note(daytona.is_error(err, "not_found") and "lost" or "broken", attempt, tostring(err)) end
  local gone
  gone, err = box:close()
  note(gone and "deleted" or "undeleted", attempt, tostring(err))
end
for number = first, last, step do
  once(number)
  note("next", number + step)
end
note "done"
]]

local Storm = {}
Storm.__index = Storm

-- What the log of a worker says: counts of its words, and where it is.
local function read(path)
  local said = { next = nil }
  local file = io.open(path)
  for line in file and file:lines() or function() end do
    local word, rest = line:match "^(%S+) ?(%S*)"
    if word == "next" then said.next = tonumber(rest) elseif word then said[word] = (said[word] or 0) + 1 end
  end
  if file then file:close() end
  return said
end

local function begin(self, slot)
  local from = read(slot.log).next or slot.first
  slot.child = child.start(WORKER, ("%s %s %s %s %d %d %d %d"):format(self.relay.url .. self.path, self.server.api_key,
    self.folder .. "/ledger", slot.log, from, self.workers, self.tasks, self.seed))
end

local function add_faults(self)
  local list = {}
  for i, kind in ipairs(KINDS) do
    list[i] = { chance = SHARE / (#KINDS - 2) }
    for name, value in pairs(kind) do list[i][name] = value end
  end
  assert(self.server:faults(list))
end

-- The server's books: which sandboxes there are of each creation.
local function look(self)
  local page = self.client:list { labels = { storm = tostring(self.seed) }, limit = 200 }
  local now = {}
  for _, box in ipairs(page and page.items or {}) do
    local attempt, is_there = box.labels.attempt, box.desired_state ~= "destroyed"
    self.ids[attempt] = self.ids[attempt] or {}
    self.ids[attempt][box.id] = true
    if is_there and now[attempt] then self.twice[attempt] = true end
    now[attempt] = now[attempt] or is_there
  end
end

local function is_done(self)
  for _, slot in ipairs(self.slots) do
    if not read(slot.log).done then return false end
  end
  return true
end

-- One blow: a kill, a listener that goes away, or the clean-up of a sibling.
local function strike(self)
  local chance = random.chance()
  local slot = self.slots[math.ceil(random.chance() * #self.slots + 0.001)] or self.slots[1]
  if chance < 0.3 and not read(slot.log).done then
    slot.child:signal "KILL"
    slot.child:rest()
    self.report.kills = self.report.kills + 1
    begin(self, slot)
  elseif chance < 0.6 then
    self.relay:arm(0, chance < 0.45 and "close" or "reset", { away = 0.2 })
    self.report.vanished = self.report.vanished + 1
  elseif chance < 0.8 then
    local list, err = self.client:reap()
    self.report.reaped = self.report.reaped + #(list or err.deleted or {})
  end
end

local function rage(self, seconds)
  local over, blow = loop.now() + seconds, 0
  while loop.now() < over and not is_done(self) do
    look(self)
    if loop.now() >= blow then
      strike(self)
      blow = loop.now() + 0.2 + random.chance()
    end
    daytona.sleep(0.05)
  end
end

local function left(self)
  local n = 0
  for box in self.client:each { include_errored_deleted = true } do
    if box.state ~= "destroying" and box.desired_state ~= "destroyed" then n = n + 1 end
  end
  return n
end

-- The end: no more faults, no more programs; what is late has arrived; one reap.
local function settle(self)
  local report = self.report
  for _, fault in ipairs(assert(self.client:request("GET", "/__devserver/faults")).json) do
    report.struck = report.struck + fault.hits
  end
  assert(self.server:clear_faults())
  for _, slot in ipairs(self.slots) do
    if not read(slot.log).done then report.unfinished = report.unfinished + 1 end
    slot.child:signal "KILL"
    slot.child:rest()
  end
  daytona.sleep(4) -- the longest that a fault holds a request back
  look(self)
  report.left_before = left(self)
  report.reaped = report.reaped + #assert(self.client:reap())
  report.left = left(self)
end

local function count(self)
  local report = self.report
  for _, slot in ipairs(self.slots) do
    local said = read(slot.log)
    for _, word in ipairs { "made", "used", "failed", "broken", "lost", "wrong", "undeleted" } do
      report[word] = report[word] + (said[word] or 0)
    end
  end
  for attempt, ids in pairs(self.ids) do
    local n = 0
    for _ in pairs(ids) do n = n + 1 end
    local kind = self.twice[attempt] and "doubled" or n > 1 and "late"
    if kind then report[kind] = report[kind] + 1 end
  end
end

---@param opts { tasks: integer, workers?: integer, seed: integer, seconds?: number }
local function run(opts)
  local service = require("spec.support.service").start()
  local folder = os.tmpname()
  os.remove(folder)
  local origin, path = service.server.api_url:match "^(http://[^/]+)(.*)$"
  local self = setmetatable({
    tasks = opts.tasks, workers = opts.workers or 4, seed = opts.seed, folder = folder, server = service.server,
    relay = vanishing.start(tonumber(origin:match ":(%d+)$")), path = path, slots = {}, ids = {}, twice = {},
    client = service:connect { ledger = folder .. "/ledger" },
    report = { made = 0, used = 0, failed = 0, broken = 0, lost = 0, wrong = 0, undeleted = 0, doubled = 0, late = 0,
    kills = 0,
      vanished = 0, reaped = 0, struck = 0, unfinished = 0 },
  }, Storm)
  os.execute("mkdir -p " .. folder)
  add_faults(self)
  for i = 1, self.workers do
    self.slots[i] = { first = i, log = ("%s/log-%d"):format(folder, i) }
    begin(self, self.slots[i])
  end
  rage(self, opts.seconds or 600)
  settle(self)
  count(self)
  self.relay:close()
  service:stop()
  os.execute("rm -rf " .. folder)
  return self.report
end

return { run = run }
