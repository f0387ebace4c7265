-- Which handler a method and a path mean. Knows no request and no answer.
--
-- A pattern is made of literal segments, ":name" (one segment, percent-decoded, so it
-- may contain slashes) and a last "*name" (the rest). Literals win.

local text = require "daytona.devserver.http.text"

local Router = {}
Router.__index = Router

local function segments(path)
  local list = {}
  for segment in path:gmatch("/([^/]*)") do list[#list + 1] = segment end
  return list
end

function Router.new()
  return setmetatable({ tree = {} }, Router)
end

---Adds a route. Raises when the same method and pattern exist already.
---@param method string
---@param pattern string
---@param route table  gets `names`, of the pattern's parameters
function Router:add(method, pattern, route)
  local node, names = self.tree, {}
  for _, segment in ipairs(segments(pattern)) do
    local kind, name = segment:match("^([:*])(.+)$")
    if name then names[#names + 1] = name end
    local key = kind or "=" .. segment
    node[key] = node[key] or {}
    node = node[key]
  end
  node.routes = node.routes or {}
  assert(not node.routes[method], "duplicate route " .. method .. " " .. pattern)
  route.names = names
  node.routes[method] = route
end

-- Literal segments first, then one parameter, then the rest; backtracks.
local function search(node, list, i, method, values)
  if i > #list then return node.routes and node.routes[method] end
  local depth = #values
  local literal = node["=" .. list[i]]
  local found = literal and search(literal, list, i + 1, method, values)
  if found then return found end
  if node[":"] and list[i] ~= "" then
    values[depth + 1] = list[i]
    found = search(node[":"], list, i + 1, method, values)
    if found then return found end
    for k = #values, depth + 1, -1 do values[k] = nil end
  end
  local rest = node["*"]
  if rest and rest.routes and rest.routes[method] then
    values[depth + 1] = table.concat(list, "/", i)
    return rest.routes[method]
  end
end

---@param method string
---@param path string  still encoded
---@return table? route, table<string, string>? params
function Router:find(method, path)
  local values = {}
  local route = search(self.tree, segments(path), 1, method, values)
  if not route then return nil end
  local params = {}
  for i, name in ipairs(route.names) do params[name] = text.decode(values[i]) end
  return route, params
end

return Router
