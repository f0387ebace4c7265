-- MCP over Streamable HTTP in nginx with its Lua module (OpenResty):
--
--   location = /mcp { content_by_lua_block { require("my_tools").serve() } }
--
-- A client that hangs up has cancelled: with `lua_check_client_abort on` nginx ends the
-- request's threads, and what they had begun in a sandbox is ended too.

local http = require "daytona.agent.mcp.http"

local M = {}

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

---Answers the request that nginx is at.
---@param server daytona.McpServer
---@param opts? table  as of daytona.agent.mcp.http.answer
function M.serve(server, opts)
  local ngx = rawget(_G, "ngx")
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
