-- Relative references: where a `Location` leads.

local url = require "daytona.http.url"

local reference = {}

-- RFC 3986, 5.2.4. A last segment of dots leaves the folder, with its slash.
local function without_dots(path)
  local query = path:match("%?.*$") or ""
  local out, last = {}, nil
  for segment in path:sub(1, #path - #query):gmatch("/([^/]*)") do
    last = segment
    if segment == ".." then out[#out] = nil
    elseif segment ~= "." then out[#out + 1] = segment end
  end
  if last == "." or last == ".." then out[#out + 1] = "" end
  return "/" .. table.concat(out, "/") .. query
end

-- Where a relative reference leads, from the path of the base; RFC 3986, 5.2.2.
local function relative(base_path, location)
  if location == "" then return base_path end
  local path = base_path:gsub("%?.*$", "")
  if location:sub(1, 1) == "?" then return path .. location end
  if location:sub(1, 1) == "/" then return location end
  return path:gsub("[^/]*$", "") .. location
end

---What a `Location` header means, seen from `base`; nil when it is no http URL.
---@param base daytona.Url
---@param location string
---@return daytona.Url?
function reference.resolve(base, location)
  local parts
  if location:find("^%a[%w+.-]*:") then
    parts = url.parse(location)
  elseif location:sub(1, 2) == "//" then
    parts = url.parse(base.scheme .. ":" .. location)
  else
    location = location:gsub("#.*$", "")
    if location:find("[%c ]") then return nil end
    parts = { scheme = base.scheme, host = base.host, port = base.port, path = relative(base.path, location) }
  end
  if parts then parts.path = without_dots(parts.path) end
  return parts
end

return reference
