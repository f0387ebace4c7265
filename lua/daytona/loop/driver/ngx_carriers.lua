-- Small requests over nginx's own sockets. What nginx watches itself needs no doorbell and
-- no step of the engine: a call then costs about what one by hand costs.
--
-- Carriers are light threads of a timer, one a connection in use: each takes an op, connects
-- (which finds a kept connection), sends what the transfer is as bytes, feeds it what comes
-- back, gives the connection back and says that the op is over. Who waits for the op waits in
-- its own request, so a cancel, a deadline or an end of that request needs nothing of nginx's
-- sockets; the carrier, whose connection is of no use then, is ended.
--
-- Where there is no connection to be had (no resolver, no authorities to verify by, nobody
-- listens) the transfer goes to libcurl, which also says what is wrong; so does every further
-- one for a while. It knows no HTTP.

local core = require "daytona.base.native"
local semaphore = require "ngx.semaphore"

local ngx = ngx or package.loaded.ngx
local log, ERR = ngx.log, ngx.ERR
local tcp, timer_at = ngx.socket.tcp, ngx.timer.at
local thread_spawn, thread_wait, thread_kill = ngx.thread.spawn, ngx.thread.wait, ngx.thread.kill
local now = core.now
local pcall, remove, tostring = pcall, table.remove, tostring

local carriers = {}

-- Seconds that a carrier waits for the next op before it ends.
local LINGER = 0.25

-- Requests of one carriage. What nginx takes for each is given back when its timer ends.
local ENOUGH = 10000

-- Of connections that nobody uses: milliseconds that they are kept, and how many a worker.
local KEPT_MS, KEPT = 60000, 64

-- Seconds without an answer after which who gives up says something of the line: then what
-- is kept beside that connection may lead nowhere, too, and is not used again.
local SILENT = 1

-- Seconds for which an origin is libcurl's after nginx has found no connection to it.
local BARRED = 10

local LONG, LONG_MS = 2147483, 2147483647

-- What a carrier takes at once.
local CHUNK = 65536

local loop, released
local ways = {}    -- by origin
local wanted = true
local carriage     -- the timer that new carriers belong to; nil: none

--- Ways --------------------------------------------------------------------------------------

-- Where an origin is, its carriers (`count` of them, those without work in `free`), and the
-- ops that wait for one (queue, from `head` to `tail`).
local function new_way(origin)
  local scheme, host, port = origin:match "^(%w+)://(.*):(%d+)$"
  local way = {
    host = host, port = tonumber(port), tls = scheme == "https", name = host:match "^%[(.*)%]$" or host,
    origin = origin, options = { pool = "daytona " .. origin }, lines = 0, barred = 0,
    free = {}, nfree = 0, count = 0, queue = {}, head = 1, tail = 0,
  }
  ways[origin] = way
  return way
end

local function push(way, op)
  way.tail = way.tail + 1
  way.queue[way.tail] = op
end

-- The first op that is not over, or nil.
local function pull(way)
  while way.head <= way.tail do
    local op = way.queue[way.head]
    way.queue[way.head] = nil
    way.head = way.head + 1
    if op.carried and not op.done then return op end
  end
  way.head, way.tail = 1, 0
end

--- One op ------------------------------------------------------------------------------------

-- libcurl has the transfer from now on.
local function give_back(op)
  op.carried, op.carrier = false, nil
  released(op)
end

-- No connection: for how long libcurl is to try.
local function bar(way, why)
  local for_good = way.tls or why:find("no resolver", 1, true)
  way.barred = for_good and math.huge or now() + BARRED
end

-- A connection, kept or new. How often it was used, or nil, why.
local function connect(way, socket)
  local ok, why = socket:connect(way.host, way.port, way.options)
  if not ok then return nil, why end
  local reused = socket:getreusedtimes()
  if reused == 0 and way.tls then
    ok, why = socket:sslhandshake(false, way.name, true)
    -- nginx's word is not enough: of a certificate that it refused, and after which it closed
    -- the connection, some versions say now and then that all went well.
    if not ok or not socket:getreusedtimes() then
      socket:close()
      return nil, why or "the connection was closed in the handshake"
    end
  end
  return reused
end

-- Sends the request and feeds the transfer its answer. "keep", "close" or "back". (Head and
-- body stay two strings: the heads are alike, and to join them would be dear in LuaJIT, which
-- hashes a few bytes of a string.)
local function exchange(socket, transfer, request)
  local verdict
  if not socket:send(request) then return transfer:cut() end
  repeat
    local data = socket:receiveany(CHUNK)
    if data then verdict = transfer:feed(data) else verdict = transfer:cut() end
  until verdict
  return verdict
end

local function serve(self, op)
  local way, socket, transfer = self.way, self.socket, op.transfer
  self.began = now()
  local reused, why = connect(way, socket)
  local verdict
  if reused then
    local request = self.request
    request[1], request[2] = transfer:compose(reused > 0), op.body
    verdict = request[1] and exchange(socket, transfer, request) or "keep"
    if verdict == "keep" then socket:setkeepalive(KEPT_MS, KEPT) else socket:close() end
  elseif why == "timeout" then
    transfer:late()
  else
    bar(way, why)
    verdict = transfer:cut()
  end
  self.op, op.carrier = nil, nil
  if verdict == "back" then return give_back(op) end
  if not op.done then loop.finished(op) end
end

--- Carriers ----------------------------------------------------------------------------------

local function leave_free(self)
  local way = self.way
  for i = 1, way.nfree do
    if way.free[i] == self then
      remove(way.free, i)
      way.nfree = way.nfree - 1
      return
    end
  end
end

-- The next op, when there is one in time.
local function next_op(self)
  local way = self.way
  local op = self.op or pull(way)
  if op or self.carriage.closing then return op end
  way.nfree = way.nfree + 1
  way.free[way.nfree] = self
  self.semaphore:wait(LINGER)
  if not self.op then leave_free(self) end
  return self.op
end

local function work(self)
  local mine = self.carriage
  local op = next_op(self)
  while op do
    self.op, op.carrier = op, self
    if op.connect_timeout ~= self.patience then
      self.patience = op.connect_timeout
      self.socket:settimeouts(self.patience > 0 and self.patience * 1000 or LONG_MS, LONG_MS, LONG_MS)
    end
    serve(self, op)
    mine.served = mine.served + 1
    if mine.served >= ENOUGH then mine.closing = true end
    op = next_op(self)
  end
end

-- Those who wait for a carrier get one more, if there may be one.
local hire

-- The carrier is no more.
local function leave(self)
  self.way.count = self.way.count - 1
  self.carriage.members[self] = nil
  if self.way.head <= self.way.tail then hire(self.way) end
end

local function run(self)
  local fine, why = pcall(work, self)
  if not fine then log(ERR, "daytona: ", tostring(why)) end
  local op = self.op
  leave(self)
  local over = self.carriage.over
  over[#over + 1] = self.thread
  self.carriage.semaphore:post(1)
  if fine or not op or op.done then return end
  if op.transfer:cut() == "back" then give_back(op) else loop.finished(op) end
end

--- Carriages ---------------------------------------------------------------------------------

local function begin(mine, way)
  local self = { carriage = mine, way = way, semaphore = semaphore.new(0), socket = tcp(), patience = -1, request = {} }
  mine.members[self] = true
  self.thread = thread_spawn(run, self)
  if not mine.members[self] then thread_wait(self.thread) end
end

-- Ends the carrier that is still busy with an op that was dropped; its socket goes with it.
local function dismiss(mine, op)
  local self = op.dropped_by
  if not mine.members[self] or self.op ~= op then return end
  thread_kill(self.thread)
  leave(self)
end

-- Does what was asked for.
local function tidy(mine)
  local over, dropped, orders = mine.over, mine.dropped, mine.orders
  while over[1] do thread_wait(remove(over)) end
  while dropped[1] do dismiss(mine, remove(dropped)) end
  while orders[1] do begin(mine, remove(orders)) end
end

local function drive(_, mine)
  mine.begun = true
  repeat
    tidy(mine)
    if next(mine.members) then mine.semaphore:wait(LONG) end
  until not (next(mine.members) or mine.orders[1] or mine.over[1])
  mine.closing = true
  if carriage == mine then carriage = nil end
end

local function new_carriage()
  local mine = {
    semaphore = semaphore.new(0), members = {}, orders = {}, over = {}, dropped = {}, served = 0,
    begun = false, closing = false,
  }
  if timer_at(0, drive, mine) then return mine end
end

function hire(way)
  if carriage and carriage.closing then carriage = nil end
  carriage = carriage or new_carriage()
  if not carriage then return false end
  way.count = way.count + 1
  carriage.orders[#carriage.orders + 1] = way
  carriage.semaphore:post(1)
  return true
end

--- For the driver ----------------------------------------------------------------------------

---@param the_loop table
---@param on_release fun(op: daytona.Op)  an op whose transfer libcurl has now
function carriers.attach(the_loop, on_release)
  loop, released = the_loop, on_release
end

---Whether to carry anything.
---@param on boolean
function carriers.use(on)
  wanted = on
end

---In the child of a fork: all that was the parent's.
function carriers.detach()
  ways, carriage = {}, nil
end

---Carries an op, or gives its transfer to libcurl.
---@param op daytona.Op
function carriers.carry(op)
  local origin, connect_timeout = op.transfer:origin()
  local way = ways[origin] or new_way(origin)
  op.connect_timeout = connect_timeout
  if not wanted or way.barred > 0 and way.barred > now() then
    op.transfer:cut()
    return give_back(op)
  end
  local n = way.nfree
  if n > 0 then
    local self = way.free[n]
    way.free[n], way.nfree = nil, n - 1
    self.op, op.carrier = op, self
    return self.semaphore:post(1)
  end
  push(way, op)
  if way.count < (loop.max_connections or 256) and not hire(way) and way.count == 0 then
    op.transfer:cut()
    give_back(op)
  end
end

-- A pool of another name for those that come.
local function forsake(way)
  way.lines = way.lines + 1
  way.options = { pool = ("daytona %s %d"):format(way.origin, way.lines) }
end

---The op has ended before its carrier was done with it.
---@param op daytona.Op
function carriers.drop(op)
  local self = op.carrier
  op.carrier = nil
  if not self or self.op ~= op then return end
  if self.began and now() - self.began >= SILENT then forsake(self.way) end
  op.dropped_by = self
  local list = self.carriage.dropped
  list[#list + 1] = op
  self.carriage.semaphore:post(1)
end

---Whether an op will have a carrier; false where nginx has dropped the timer.
---@param op daytona.Op
---@return boolean
function carriers.is_served(op)
  return op.carrier ~= nil or (carriage ~= nil and carriage.begun)
end

---Nginx has dropped the timer: what waits for it is libcurl's.
---@param op daytona.Op
function carriers.refuse(op)
  if carriage and not carriage.begun then
    for _, way in ipairs(carriage.orders) do way.count = way.count - 1 end
    carriage.orders = {}
    carriage = nil
  end
  op.transfer:cut()
  give_back(op)
end

return carriers
