-- Takes texts that are known to be secret out of others.

local known = {}

known.MARK = "[redacted]"

-- Shorter values ("1", "on") are no secrets, and replacing them would shred
-- the text around them.
local SHORTEST = 4

-- Where the secrets stand in the text, as {first, last}, overlaps and all.
local function find_all(text, secrets)
  local spans = {}
  for i = 1, #secrets do
    local secret = secrets[i]
    local at = #secret >= SHORTEST and text:find(secret, 1, true)
    while at do
      spans[#spans + 1] = { at, at + #secret - 1 }
      at = text:find(secret, at + 1, true)
    end
  end
  return spans
end

---The text with one mark for each stretch that is covered by secrets: one that begins or
---overlaps another leaves nothing of it.
---@param text string
---@param secrets string[]  those under 4 bytes are ignored
---@return string
function known.hide(text, secrets)
  local spans = find_all(text, secrets)
  table.sort(spans, function(a, b) return a[1] < b[1] end)
  local out, shown, hidden = {}, 1, 0
  for i = 1, #spans do
    local first, last = spans[i][1], spans[i][2]
    if first > hidden then
      out[#out + 1] = text:sub(shown, first - 1)
      out[#out + 1] = known.MARK
    end
    if last > hidden then hidden, shown = last, last + 1 end
  end
  out[#out + 1] = text:sub(shown)
  return table.concat(out)
end

return known
