-- Sessions in Redis, for services on many machines: a hash for each. In OpenResty by
-- lua-resty-redis, which does not block; elsewhere by redis-lua over LuaSocket, which
-- does, for as long as Redis takes to answer.

local errors = require "daytona.base.errors"

local M = {}

local Store = { __name = "daytona.RedisStore" }
Store.__index = Store

local TIMEOUT = 5 -- seconds for one answer

--- Two clients ---------------------------------------------------------------------------

-- Each gives fn(command, ...), which returns what came, or nil and why.

local function load(...)
  for _, name in ipairs { ... } do
    local found, module = pcall(require, name)
    if found then return module end
  end
end

local function resty(settings)
  local client = load("resty.redis", "nginx.redis")
  if not client then return nil end
  return function(command, ...)
    local red = client:new()
    red:set_timeout(TIMEOUT * 1000)
    local fine, why = red:connect(settings.host, settings.port)
    if fine and settings.password then fine, why = red:auth(settings.password) end
    if fine and settings.db then fine, why = red:select(settings.db) end
    local answer
    if fine then answer, why = red[command](red, ...) end
    if answer == nil or answer == false then return nil, why or "no answer" end
    if type(answer) == "table" then answer = red:array_to_hash(answer) end
    red:set_keepalive(60000, 20)
    return answer
  end
end

local function plain(settings)
  local client = load "redis"
  if not client then return nil end
  local connection
  local function ask(command, ...)
    if not connection then
      connection = client.connect { host = settings.host, port = settings.port, timeout = TIMEOUT }
      if settings.password then connection:auth(settings.password) end
      if settings.db then connection:select(settings.db) end
    end
    return connection[command](connection, ...)
  end
  return function(command, ...)
    local fine, answer = pcall(ask, command, ...)
    if not fine then -- the server may have closed the connection: once again on a new one
      connection = nil
      fine, answer = pcall(ask, command, ...)
    end
    if fine then return answer end
    connection = nil
    return nil, tostring(answer):match "[^\n]*"
  end
end

---@param settings? { host?: string, port?: integer, password?: string, db?: integer, prefix?: string }
---@return table
function M.new(settings)
  settings = settings or {}
  local target = { host = settings.host or "127.0.0.1", port = settings.port or 6379, password = settings.password,
    db = settings.db }
  local ask = rawget(_G, "ngx") and resty(target) or plain(target)
  if not ask then errors.misuse(1, "store: no Redis client for Lua is here (lua-resty-redis, or redis-lua)") end
  return setmetatable({ ask = ask, prefix = settings.prefix or "daytona:session:" }, Store)
end

local function answer_of(value, why)
  if value ~= nil then return true end
  return nil, "Redis: " .. tostring(why)
end

function Store:put(session, id, text)
  return answer_of(self.ask("hset", self.prefix .. session, id, text))
end

function Store:remove(session, id)
  return answer_of(self.ask("hdel", self.prefix .. session, id))
end

function Store:all(session)
  local hash, why = self.ask("hgetall", self.prefix .. session)
  if not hash then return nil, "Redis: " .. tostring(why) end
  return hash
end

return M
