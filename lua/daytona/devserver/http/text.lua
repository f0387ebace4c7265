-- Small things about the texts of HTTP: times, percent-encoding, secrets that are
-- compared. Nothing else.

local util = require "http.util"

local text = {}

---The current time, or another, as the service writes it.
---@param t? number  seconds since the epoch
---@return string
function text.timestamp(t)
  t = t or os.time()
  return os.date("!%Y-%m-%dT%H:%M:%S", t) .. string.format(".%03dZ", (t % 1) * 1000)
end

---Undoes percent-encoding.
---@param s string
---@param plus? boolean  "+" is a blank (query strings)
---@return string
function text.decode(s, plus)
  if plus then s = s:gsub("%+", " ") end
  return util.decodeURIComponent(s)
end

---The keys of a query or a form: the first value of each, and all of each.
---(`states[]=a` and `states[0]=a` is how some clients repeat a key.)
---@param query string
---@return table<string, string> first, table<string, string[]> all
function text.query(query)
  local first, all = {}, {}
  for name, value in util.query_args((query:gsub("%+", "%%20"))) do
    name, value = name:gsub("%[%d*%]$", ""), value or ""
    if first[name] == nil then first[name] = value end
    all[name] = all[name] or {}
    table.insert(all[name], value)
  end
  return first, all
end

---Compares in a time that depends on the lengths only.
---@param a string
---@param b string
---@return boolean
function text.same(a, b)
  local difference = #a == #b and 0 or 1
  for i = 1, #a do
    if a:byte(i) ~= b:byte((i - 1) % math.max(#b, 1) + 1) then
      difference = difference + 1
    end
  end
  return difference == 0
end

return text
