-- MCP over Streamable HTTP in nginx with its Lua module (OpenResty):
--
--   location = /mcp { content_by_lua_block { require("my_tools").serve() } }
--
-- A client that hangs up has cancelled: with `lua_check_client_abort on` nginx ends the
-- request's threads, and what they had begun in a sandbox is ended too.

local http = require "daytona.agent.mcp.http"
local options = require "daytona.base.options"

local M = {}

-- Where only this machine can ask, pages of the web can as well, through its browsers, by
-- a name that leads to it.
local LOOPBACK = { "localhost", "127.0.0.1", "[::1]" }

local function is_loopback(address)
  return address ~= nil and (address:find "^127%." ~= nil or address == "::1")
end

local function body_of(ngx)
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  if text then return text end
  local path = ngx.req.get_body_file()
  local file = path and io.open(path, "rb")
  if not file then return "" end
  text = file:read "*a"
  file:close()
  return text
end

-- nginx gives several headers of one name as a list.
local function headers_of(ngx)
  local out = {}
  for name, value in pairs(ngx.req.get_headers(0)) do
    out[name:lower()] = type(value) == "table" and table.concat(value, ", ") or value
  end
  return out
end

---Answers the request that nginx is at. On an address of the loopback it is known by the
---names of that alone, unless `hosts` has others (those of a proxy before it, which passes
---its own on).
---@param server daytona.McpServer
---@param opts? daytona.McpHttpOptions
function M.serve(server, opts)
  local ngx = rawget(_G, "ngx")
  opts = options.copy(opts)
  if not opts.hosts and is_loopback(ngx.var.server_addr) then opts.hosts = LOOPBACK end
  local answer = http.answer(server, {
    method = ngx.req.get_method(), headers = headers_of(ngx), body = body_of(ngx),
  }, opts)
  ngx.status = answer.status
  for name, value in pairs(answer.headers) do ngx.header[name] = value end
  if not answer.stream then
    if answer.body ~= "" then ngx.print(answer.body) end
    return ngx.eof()
  end
  answer.stream(function(text)
    ngx.print(text)
    ngx.flush(true)
  end)
  ngx.eof()
end

return M
