-- What the service refuses: the checks of bodies, names and lists, and the words it
-- has for them. Each raises the kit's 400 (or another status where the service has one).

local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"

local checks = {}

---@param message string
function checks.bad(message, ...)
  httpd.fail(400, nil, select("#", ...) > 0 and message:format(...) or message)
end

---What the service says of numbers that it does not look at before its database does.
function checks.unexpected()
  httpd.fail(500, nil, "An unexpected error occurred.")
end

---Fails when the disk did not take a change.
---@param ok boolean?
---@param message string?
function checks.kept(ok, message)
  if not ok then httpd.fail(507, nil, "The local server's disk takes no more: " .. tostring(message)) end
end

---The sandbox of that id or name; 404.
---@param context table
---@param id string
---@return table
function checks.box(context, id)
  local box = context.store:find(id)
  if not box then httpd.fail(404, nil, ("Sandbox with ID or name %s not found"):format(id)) end
  return box
end

---The same for calls that take no name.
---@param context table
---@param id string
---@return table
function checks.box_by_id(context, id)
  local box = context.store:find(id)
  if not box or box.id ~= id then httpd.fail(404, nil, ("Sandbox with ID %s not found"):format(id)) end
  return box
end

-- Bodies -------------------------------------------------------------------------------

local function is_object(v) return type(v) == "table" and v[1] == nil end

local function is_list(v)
  if type(v) ~= "table" then return false end
  for name in pairs(v) do
    if type(name) ~= "number" then return false end
  end
  return true
end

local function is_number(least)
  return function(v) return type(v) == "number" and (not least or v >= least) end
end

local NUMBER = "%s must be a number conforming to the specified constraints"

-- Kind -> test, and what is said of a value that fails it.
local KINDS = {
  string = { function(v) return type(v) == "string" end, "%s must be a string" },
  boolean = { function(v) return type(v) == "boolean" end, "%s must be a boolean value" },
  number = { is_number(), NUMBER },
  natural = { is_number(0), "%s must not be less than 0", NUMBER },
  positive = { is_number(1), "%s must not be less than 1", NUMBER },
  object = { is_object, "%s must be an object" },
  list = { is_list, "%s must be an array" },
  any = { function() return true end },
}

local function complain(problems, kind, name, value)
  local text = kind[2]:format(name)
  if kind[3] and type(value) ~= "number" then text = text .. ", " .. kind[3]:format(name) end
  problems[#problems + 1] = text
end

-- What `strict` refuses beyond that.
local function strict_problem(name, value, kind)
  if (kind == "number" or kind == "natural" or kind == "positive") and value % 1 ~= 0 then
    return name .. " must be an integer number"
  end
  if kind == "object" and (name == "env" or name == "labels") then
    for _, text in pairs(value) do
      if type(text) ~= "string" then return ("each value in %s must be a string"):format(name) end
    end
  end
end

---Checks a body against `fields` (name -> kind); drops nulls. Unknown fields are dropped,
---as the service does; where the request's app is `strict` they are refused. A copy.
---@param req table
---@param body table
---@param fields table<string, string>
---@return table
function checks.fields(req, body, fields)
  local copy, problems = {}, {}
  local strict = req.app.strict
  for name, value in pairs(body) do
    local kind = KINDS[fields[name]]
    if not kind then
      if strict then problems[#problems + 1] = ("property %s should not exist"):format(tostring(name)) end
    elseif value ~= json.null then
      copy[name] = value
      if not kind[1](value) then
        complain(problems, kind, name, value)
      elseif strict then
        problems[#problems + 1] = strict_problem(name, value, fields[name])
      end
    end
  end
  if #problems > 0 then
    table.sort(problems)
    checks.bad("%s", table.concat(problems, ", "))
  end
  return copy
end

-- Names, intervals -------------------------------------------------------------------------

---@param name string
function checks.name(name)
  if name:find("[%c<>]") or name:find("https?://") or name:find("^www%.") then
    checks.bad "name must not contain HTML tags, URLs, or control characters"
  end
end

local INTERVALS = {
  autoStopInterval = "Auto-stop", autoArchiveInterval = "Auto-archive", autoPauseInterval = "Auto-pause",
  ttlMinutes = "TTL",
}

---@param field string  of the body
---@param value number
function checks.interval(field, value)
  local what = INTERVALS[field]
  if what and value < 0 then checks.bad("%s interval must be non-negative", what) end
  if value % 1 ~= 0 or math.abs(value) >= 2 ^ 31 then checks.unexpected() end
end

---An integer in the path or the query, as the service reads it.
---@param text string
---@return integer
function checks.integer(text)
  local value = text:find("^%-?%d+$") and tonumber(text)
  if not value or math.abs(value) >= 2 ^ 31 then checks.unexpected() end
  return value
end

---A value in the path that Nest's parser must find to be a UUID.
---@param text string
---@return string
function checks.uuid(text)
  local four = ("%x"):rep(4)
  if not text:find(("^" .. four .. four .. "%-" .. (four .. "%-"):rep(3) .. four:rep(3) .. "$")) then
    checks.bad "Validation failed (uuid is expected)"
  end
  return text
end

-- Networks -----------------------------------------------------------------------------------

local function each_of(text)
  local list = {}
  for part in (text .. ","):gmatch("([^,]*),") do list[#list + 1] = part:match("^%s*(.-)%s*$") end
  return list
end

local function is_ipv4(text)
  local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if tonumber(part) > 255 then return false end
  end
  return #parts == 4
end

local function check_network(text)
  local address, bits = text:match("^([^/]*)/?(.*)$")
  if not is_ipv4(address) then
    checks.bad('Invalid IP address: "%s" in network "%s". Must be a valid IPv4 address', address, text)
  end
  if not text:find("/", 1, true) then
    checks.bad('Invalid network format: "%s". Missing CIDR prefix length (e.g., /24)', text)
  end
  if not bits:find("^%d+$") or tonumber(bits) > 32 then
    checks.bad('Invalid CIDR prefix length: "%s" in network "%s". Must be between 0 and 32', bits, text)
  end
end

---@param text string
function checks.allow_list(text)
  if text == "" then return end
  local list = each_of(text)
  if #list > 10 then checks.bad "Network allow list cannot contain more than 10 networks" end
  for _, part in ipairs(list) do check_network(part) end
end

---@param text string
function checks.domains(text)
  if text == "" then return end
  local list = each_of(text)
  if #list > 10 then checks.bad "Domain allow list cannot contain more than 10 domains" end
  for _, part in ipairs(list) do
    if not part:gsub("^%*%.", ""):find("^[%w][%w%-%.]*%.%a[%w%-]*$") then
      checks.bad('Invalid domain: "%s". Must be a valid domain name', part)
    end
  end
end

-- Mount paths ------------------------------------------------------------------------------

local SYSTEM = {}
for name in ("bin boot dev etc lib lib32 lib64 libx32 proc run sbin sys usr var"):gmatch "%S+" do
  SYSTEM[name] = true
end

---@param path string
function checks.mount_path(path)
  local function refuse(why) checks.bad("Invalid mount path %s (%s)", path, why) end
  if path:find("%c") then refuse "cannot contain control characters" end
  if path:sub(1, 1) ~= "/" then refuse "must be absolute" end
  if (path .. "/"):find("/%.%.?/") then refuse "cannot contain relative path components" end
  if not path:find("[^/]") then refuse "cannot mount to the root directory" end
  if SYSTEM[path:match("^/+([^/]+)")] then refuse "cannot mount to system directory" end
end

return checks
