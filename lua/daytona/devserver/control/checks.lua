-- What the service refuses: the checks of request bodies and parameters. Each
-- raises the kit's 400 (or another status where the service has one).

local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"

local checks = {}

---@param message string
function checks.bad(message, ...)
  httpd.fail(400, nil, message:format(...))
end

local function is_integer(value)
  return type(value) == "number" and value % 1 == 0 and math.abs(value) < 2 ^ 53
end

local function is_map(value)
  if type(value) ~= "table" then return false end
  for name, text in pairs(value) do
    if type(name) ~= "string" or type(text) ~= "string" then return false end
  end
  return true
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  for name in pairs(value) do
    if type(name) ~= "number" then return false end
  end
  return true
end

local kinds = {
  string = { function(v) return type(v) == "string" end, "a string" },
  boolean = { function(v) return type(v) == "boolean" end, "a boolean value" },
  integer = { is_integer, "an integer number" },
  natural = { function(v) return is_integer(v) and v >= 0 end, "an integer number not less than 0" },
  positive = { function(v) return is_integer(v) and v >= 1 end, "an integer number not less than 1" },
  map = { is_map, "an object of strings" },
  list = { is_list, "an array" },
  object = { function(v) return type(v) == "table" and not v[1] end, "an object" },
}

---Checks the body against `fields` (name -> kind); drops nulls. Unknown fields
---are refused. Returns a copy.
---@param body table
---@param fields table<string, string>
---@return table
function checks.fields(body, fields)
  local copy, problems = {}, {}
  if body[1] ~= nil then checks.bad("body must be an object") end
  for name, value in pairs(body) do
    local kind = kinds[fields[name]]
    if not kind then
      problems[#problems + 1] = ("property %s should not exist"):format(tostring(name))
    elseif value ~= json.null then
      if kind[1](value) then
        copy[name] = value
      else
        problems[#problems + 1] = ("%s must be %s"):format(name, kind[2])
      end
    end
  end
  if #problems > 0 then
    table.sort(problems)
    checks.bad("%s", table.concat(problems, ", "))
  end
  return copy
end

---@param name string
function checks.name(name)
  if name == "" then checks.bad("name should not be empty") end
  if name:find("[%c<>]") or name:find("https?://") or name:find("^www%.") then
    checks.bad("name must not contain HTML, URLs or control characters")
  end
  if #name > 255 then checks.bad("name must be shorter than or equal to 255 characters") end
end

local function each_of(text)
  local list = {}
  for part in (text .. ","):gmatch("([^,]*),") do list[#list + 1] = part:match("^%s*(.-)%s*$") end
  return list
end

local function is_cidr(text)
  local a, b, c, d, bits = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)/(%d+)$")
  if not a then return false end
  for _, part in ipairs { a, b, c, d } do
    if tonumber(part) > 255 then return false end
  end
  return tonumber(bits) <= 32
end

---@param text string
function checks.allow_list(text)
  if text == "" then return end
  local list = each_of(text)
  if #list > 10 then checks.bad("networkAllowList must not contain more than 10 networks") end
  for _, part in ipairs(list) do
    if not is_cidr(part) then checks.bad("Invalid network allow list: %q is no IPv4 CIDR", part) end
  end
end

---@param text string
function checks.domains(text)
  if text == "" then return end
  local list = each_of(text)
  if #list > 10 then checks.bad("domainAllowList must not contain more than 10 domains") end
  for _, part in ipairs(list) do
    if not part:gsub("^%*%.", ""):find("^[%w][%w%-%.]*%.%a[%w%-]*$") then
      checks.bad("Invalid domain allow list: %q is no domain", part)
    end
  end
end

---An integer in the path.
---@param text string
---@param name string
---@param least? integer
---@return integer
function checks.number(text, name, least)
  local value = text:find("^%-?%d+$") and tonumber(text)
  if not value then checks.bad("Validation failed (numeric string is expected)") end
  if least and value < least then checks.bad("%s must not be less than %d", name, least) end
  return value
end

local CREATE = {
  name = "string", snapshot = "string", user = "string", env = "map", labels = "map",
  public = "boolean", networkBlockAll = "boolean", networkAllowList = "string",
  domainAllowList = "string", outboundProxyUrl = "string", otelEndpointOverride = "string",
  target = "string", cpu = "positive", memory = "positive", disk = "positive", gpu = "natural",
  gpuType = "list", spot = "boolean", autoStopInterval = "natural", autoPauseInterval = "natural",
  autoArchiveInterval = "natural", autoDeleteInterval = "integer", ttlMinutes = "natural",
  volumes = "list", buildInfo = "object", linkedSandbox = "string", secrets = "list",
}

local REGIONS = { ["local"] = true, us = true, eu = true }

local function check_combinations(body)
  if body.buildInfo then
    if body.snapshot then checks.bad("Cannot specify a snapshot when using a build info entry") end
    if body.linkedSandbox then checks.bad("Cannot link a sandbox when using a build info entry") end
  elseif body.cpu or body.memory or body.disk or (body.gpu or 0) > 0 then
    checks.bad("Cannot specify Sandbox resources when using a snapshot")
  end
  if (body.gpu or 0) > 0 then
    if body.autoDeleteInterval ~= 0 then
      checks.bad("GPU sandboxes must be ephemeral (autoDeleteInterval 0)")
    end
    checks.bad("No available runners")
  end
  if (body.autoStopInterval or 0) > 0 and (body.autoPauseInterval or 0) > 0 then
    checks.bad("autoStopInterval and autoPauseInterval cannot both be set")
  end
  if (body.autoPauseInterval or 0) > 0 then
    checks.bad("Auto-pause is not supported for this sandbox class")
  end
  if body.linkedSandbox and body.autoDeleteInterval ~= 0 then
    checks.bad("A linked sandbox must be ephemeral (autoDeleteInterval 0)")
  end
end

---Checks a CreateSandbox body. Returns a copy without nulls.
---@param body table
---@return table
function checks.create(body)
  body = checks.fields(body, CREATE)
  if body.name then checks.name(body.name) end
  if body.snapshot and body.snapshot:match("^%s*$") then body.snapshot = nil end
  check_combinations(body)
  if body.target and body.target ~= "" and not REGIONS[body.target] then
    httpd.fail(403, nil, ("Region %s is not available to the organization"):format(body.target))
  end
  if body.networkAllowList then checks.allow_list(body.networkAllowList) end
  if body.domainAllowList then checks.domains(body.domainAllowList) end
  if body.outboundProxyUrl and not body.outboundProxyUrl:find("^https?://[^%s]+$") then
    checks.bad("outboundProxyUrl must be a URL address")
  end
  local volume = body.volumes and body.volumes[1]
  if volume then
    checks.bad("Volume '%s' not found", tostring(type(volume) == "table" and volume.volumeId))
  end
  local secret = body.secrets and body.secrets[1]
  if secret then
    local _, name = next(type(secret) == "table" and secret or { secret })
    checks.bad("Secret '%s' not found", tostring(name))
  end
  if body.buildInfo then
    local info = checks.fields(body.buildInfo, { dockerfileContent = "string", contextHashes = "list" })
    if (info.dockerfileContent or "") == "" then
      checks.bad("buildInfo.dockerfileContent should not be empty")
    end
    body.buildInfo = info
  end
  return body
end

return checks
