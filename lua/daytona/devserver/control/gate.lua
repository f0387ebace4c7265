-- A sandbox's port on 127.0.0.1, from its first start to its deletion. Clients keep
-- the address and send their key there, so it must never be free for another program:
-- while the sandbox has no daemon, the gate itself answers, as the control plane does.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ce = require "cqueues.errno"
local httpd = require "daytona.devserver.http"

local gate = {}

---@class daytona.devserver.Gate
---@field socket any       the listening socket
---@field port integer
local Gate = {}
Gate.__index = Gate

local function new(socket, port)
  if not socket then return nil, port end
  return setmetatable({ socket = socket, port = port, changed = condition.new() }, Gate)
end

---Binds the port, `wanted` where that is free.
---@param wanted? integer
---@return daytona.devserver.Gate? gate, string? message
function gate.open(wanted)
  local made = wanted and new(httpd.listen(wanted))
  if made then return made end
  return new(httpd.listen(0))
end

---Binds a port of [::1], so that nobody else can: browsers may try it first for names
---below .localhost. nil where that is taken, or there is no IPv6.
---@param port integer
---@return daytona.devserver.Gate? gate
function gate.beside(port)
  return (new(httpd.listen(port, "::1")))
end

local function answer(self, app)
  while self.app == app and not self.closed do
    local socket, errno = self.socket:accept({ nodelay = true }, 0)
    if socket then
      app:take(socket)
    elseif errno == ce.ETIMEDOUT or errno == ce.EAGAIN then
      cqueues.poll(self.socket, self.changed)
    else
      cqueues.sleep(0.05)
    end
  end
end

---Has `app` answer who connects, until `leave`.
---@param app table  of httpd
function Gate:enter(app)
  if self.app or self.closed then return end
  self.app = app
  cqueues.running():wrap(answer, self, app)
end

---Leaves the port to whom it is lent: nobody connects to the gate itself any more.
function Gate:leave()
  self.app = nil
  self.changed:signal()
end

---Gives up the port.
function Gate:close()
  if self.closed then return end
  self:leave()
  self.closed = true
  cqueues.cancel(self.socket:pollfd())
  self.socket:close()
end

return gate
